//! Elements of one type as those of another, and out of JSON.

use half::{bf16, f16};
use serde_json::Value;

use crate::{DataType, TensorData, with_elements};

/// One element, whatever its type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Int(i128),
    Single(f32),
    Double(f64),
    Text(&'a [u8]),
}

impl Scalar<'_> {
    /// As a number; absent for a text that is none.
    fn number(self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            #[expect(clippy::cast_precision_loss, reason = "the nearest is what is wanted")]
            Self::Int(value) => Some(value as f64),
            Self::Single(value) => Some(value.into()),
            Self::Double(value) => Some(value),
            Self::Text(text) => str::from_utf8(text).ok()?.trim().parse().ok(),
        }
    }

    /// As a whole number; absent where it is none.
    fn whole(self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(value.into()),
            Self::Int(value) => Some(value),
            Self::Single(_) | Self::Double(_) => {
                // No integer that is asked for is past 2^64.
                let value = self.number().filter(|it| it.fract() == 0.0 && it.abs() < 2e19)?;
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
                Some(value as i128)
            }
            Self::Text(text) => str::from_utf8(text).ok()?.trim().parse().ok(),
        }
    }

    /// As people write it.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Single(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
        }
    }
}

/// An element of one type.
trait Element: Sized {
    fn scalar(&self) -> Scalar<'_>;
    fn of(scalar: Scalar<'_>) -> Option<Self>;
}

impl Element for bool {
    fn scalar(&self) -> Scalar<'_> {
        Scalar::Bool(*self)
    }

    fn of(scalar: Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(b"true" | b"True" | b"TRUE") => Some(true),
            Scalar::Text(b"false" | b"False" | b"FALSE") => Some(false),
            other @ (Scalar::Bool(_)
            | Scalar::Int(_)
            | Scalar::Single(_)
            | Scalar::Double(_)
            | Scalar::Text(_)) => match other.whole()? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }
}

impl Element for Vec<u8> {
    fn scalar(&self) -> Scalar<'_> {
        Scalar::Text(self)
    }

    fn of(scalar: Scalar<'_>) -> Option<Self> {
        Some(match scalar {
            Scalar::Text(text) => text.to_vec(),
            other @ (Scalar::Bool(_) | Scalar::Int(_) | Scalar::Single(_) | Scalar::Double(_)) => {
                other.shown().into_bytes()
            }
        })
    }
}

macro_rules! integers {
    ($($integer:ident),*) => {$(
        impl Element for $integer {
            fn scalar(&self) -> Scalar<'_> {
                Scalar::Int((*self).into())
            }

            fn of(scalar: Scalar<'_>) -> Option<Self> {
                scalar.whole()?.try_into().ok()
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($float:ident $scalar:ident, $to:expr, $from:expr;)*) => {$(
        impl Element for $float {
            fn scalar(&self) -> Scalar<'_> {
                Scalar::$scalar($to(*self))
            }

            fn of(scalar: Scalar<'_>) -> Option<Self> {
                let number = scalar.number()?;
                let value: Self = $from(number);
                // A number that is one stays one.
                (value.is_finite() || !number.is_finite()).then_some(value)
            }
        }
    )*};
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest is what is wanted")]
fn single(value: f64) -> f32 {
    value as f32
}

floats! {
    f16 Single, f16::to_f32, f16::from_f64;
    bf16 Single, bf16::to_f32, bf16::from_f64;
    f32 Single, std::convert::identity, single;
    f64 Double, std::convert::identity, std::convert::identity;
}

/// Each element as one of that type.
///
/// # Errors
/// The first that cannot be: its position, and how people write it.
pub(super) fn cast(data: &TensorData, to: DataType) -> Result<TensorData, (usize, String)> {
    let scalars: Vec<Scalar<'_>> =
        with_elements!(data, elements => elements.iter().map(Element::scalar).collect());
    collect(&scalars, to)
}

fn collect(scalars: &[Scalar<'_>], to: DataType) -> Result<TensorData, (usize, String)> {
    fn each<T: Element>(scalars: &[Scalar<'_>]) -> Result<Vec<T>, (usize, String)> {
        let one = |(at, scalar): (usize, &Scalar<'_>)| {
            T::of(*scalar).ok_or_else(|| (at, scalar.shown().chars().take(40).collect()))
        };
        scalars.iter().enumerate().map(one).collect()
    }
    Ok(match to {
        DataType::Bool => TensorData::Bool(each(scalars)?),
        DataType::U8 => TensorData::U8(each(scalars)?),
        DataType::U16 => TensorData::U16(each(scalars)?),
        DataType::U32 => TensorData::U32(each(scalars)?),
        DataType::U64 => TensorData::U64(each(scalars)?),
        DataType::I8 => TensorData::I8(each(scalars)?),
        DataType::I16 => TensorData::I16(each(scalars)?),
        DataType::I32 => TensorData::I32(each(scalars)?),
        DataType::I64 => TensorData::I64(each(scalars)?),
        DataType::F16 => TensorData::F16(each(scalars)?),
        DataType::BF16 => TensorData::BF16(each(scalars)?),
        DataType::F32 => TensorData::F32(each(scalars)?),
        DataType::F64 => TensorData::F64(each(scalars)?),
        DataType::Bytes => TensorData::Bytes(each(scalars)?),
    })
}

/// The elements that JSON writes, flat or nested.
///
/// # Errors
/// One that is not of that type, as it is written.
pub(super) fn of_json(value: &Value, to: DataType) -> Result<TensorData, String> {
    let mut flat = Vec::new();
    flatten(value, &mut flat);
    let scalars: Vec<_> = flat.iter().map(|value| scalar(value, to)).collect::<Result<_, _>>()?;
    collect(&scalars, to).map_err(|(_, shown)| shown)
}

fn flatten<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    match value.as_array() {
        Some(values) => values.iter().for_each(|value| flatten(value, into)),
        None => into.push(value),
    }
}

/// No type is read as another here: who writes `"1"` means a text.
fn scalar(value: &Value, to: DataType) -> Result<Scalar<'_>, String> {
    let found = match (value, to) {
        (Value::String(text), DataType::Bytes) => Some(Scalar::Text(text.as_bytes())),
        (Value::Bool(value), DataType::Bool) => Some(Scalar::Bool(*value)),
        (_, DataType::Bytes | DataType::Bool) => None,
        (Value::Number(number), _) => {
            number.as_i128().map(Scalar::Int).or_else(|| number.as_f64().map(Scalar::Double))
        }
        _ => None,
    };
    found.ok_or_else(|| value.to_string().chars().take(40).collect())
}
