//! How an element of each datatype stands in JSON.

use std::fmt;

use half::{bf16, f16};
use serde::{Serializer, ser::Error};

/// An element's forms: from each kind of JSON value that it can be, and back to one.
pub(crate) trait Element: Sized {
    /// What the element must be, for a refusal.
    fn describe(f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Writes it.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// From `true` or `false`.
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    /// From an integer of 0 or more.
    fn from_unsigned(_: u64) -> Option<Self> {
        None
    }
    /// From an integer below 0.
    fn from_signed(_: i64) -> Option<Self> {
        None
    }
    /// From a number with a point or an exponent, or past 64 bits.
    fn from_float(_: f64) -> Option<Self> {
        None
    }
    /// From NaN or an infinity, where those can be written.
    fn from_special(_: f64) -> Option<Self> {
        None
    }
    /// From a string.
    fn from_text(_: &str) -> Option<Self> {
        None
    }
    /// From a cell of a table, in which all is text.
    fn from_cell(text: &str) -> Option<Self> {
        Self::from_text(text)
    }
    /// From bytes that stood in Base64.
    fn from_bytes(_: Vec<u8>) -> Option<Self> {
        None
    }
    /// The bytes of one that is bytes.
    fn as_bytes(&self) -> Option<&[u8]> {
        None
    }
    /// What stands for one that is not there.
    fn missing() -> Option<Self> {
        None
    }
}

impl Element for bool {
    fn describe(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BOOL: true or false")
    }
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self)
    }
    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
    fn from_cell(text: &str) -> Option<Self> {
        match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }
}

impl Element for Vec<u8> {
    fn describe(f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BYTES: a string")
    }
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(self).map_err(S::Error::custom)?)
    }
    fn from_text(value: &str) -> Option<Self> {
        Some(value.as_bytes().to_vec())
    }
    fn from_bytes(value: Vec<u8>) -> Option<Self> {
        Some(value)
    }
    fn as_bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

macro_rules! integers {
    ($($integer:ident $datatype:literal $serialize:ident),*) => { $(
        impl Element for $integer {
            fn describe(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (min, max) = (Self::MIN, Self::MAX);
                write!(f, "{}: an integer from {min} to {max}, without a decimal point", $datatype)
            }
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.$serialize(*self)
            }
            fn from_unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_signed(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_cell(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
        }
    )* };
}

integers!(
    u8 "UINT8" serialize_u8,
    u16 "UINT16" serialize_u16,
    u32 "UINT32" serialize_u32,
    u64 "UINT64" serialize_u64,
    i8 "INT8" serialize_i8,
    i16 "INT16" serialize_i16,
    i32 "INT32" serialize_i32,
    i64 "INT64" serialize_i64
);

macro_rules! floats {
    ($($float:ident $datatype:literal $serialize:ident, $from:expr, $to:expr);*) => { $(
        impl Element for $float {
            fn describe(f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (min, max) = (Self::MIN, Self::MAX);
                write!(f, "{}: a number from {min:e} to {max:e}", $datatype)
            }
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.is_finite() {
                    return serializer.$serialize($to(*self));
                }
                serializer.serialize_str(match (self.is_nan(), self.is_sign_negative()) {
                    (true, _) => "NaN",
                    (false, false) => "Infinity",
                    (false, true) => "-Infinity",
                })
            }
            fn from_unsigned(value: u64) -> Option<Self> {
                Self::from_float(value as f64)
            }
            fn from_signed(value: i64) -> Option<Self> {
                Self::from_float(value as f64)
            }
            fn from_float(value: f64) -> Option<Self> {
                let value = $from(value);
                value.is_finite().then_some(value)
            }
            fn from_special(value: f64) -> Option<Self> {
                Some($from(value))
            }
            fn from_cell(text: &str) -> Option<Self> {
                let text = text.trim();
                if text.is_empty() {
                    return Self::missing();
                }
                let value: f64 = text.parse().ok()?;
                // A number that is too large is no infinity: that is written in letters.
                if value.is_finite() || text.bytes().any(|byte| byte.is_ascii_digit()) {
                    Self::from_float(value)
                } else {
                    Self::from_special(value)
                }
            }
            fn missing() -> Option<Self> {
                Some($from(f64::NAN))
            }
        }
    )* };
}

// Through f64, as a JSON number is one to every other reader of it, NumPy among them.
floats!(
    f16 "FP16" serialize_f32, f16::from_f64, f16::to_f32;
    bf16 "BF16" serialize_f32, bf16::from_f64, bf16::to_f32;
    f32 "FP32" serialize_f32, |value: f64| value as f32, |value: f32| value;
    f64 "FP64" serialize_f64, |value: f64| value, |value: f64| value
);
