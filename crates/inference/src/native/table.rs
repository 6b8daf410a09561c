//! Requests as rows of numbers.

use domain::{DataType, Dim, Problem, Signature, Tensor, TensorData, python::Input};

use crate::Error;

/// How a request's tensors become rows of features.
#[derive(Debug, Clone)]
pub(super) struct Table {
    form: Form,
    features: usize,
    /// LightGBM makes whole numbers of an array, but not of a data frame, numbers of 32 bits.
    is_narrowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A tensor for each feature.
    Columns,
    /// One of all.
    Array,
}

impl Table {
    pub(super) fn of(
        input: &Input,
        signature: &Signature,
        features: usize,
        is_lightgbm: bool,
    ) -> Result<Self, String> {
        let specs = &signature.inputs;
        for spec in specs {
            if matches!(spec.datatype, DataType::Bytes | DataType::BF16) {
                return Err(format!("its input `{}` is {}", spec.name, spec.datatype));
            }
            if !spec.shape.first().is_some_and(Dim::is_dynamic) {
                let shape = spec.shape_text();
                return Err(format!(
                    "its input `{}` is {shape}, not of any number of rows",
                    spec.name
                ));
            }
        }
        let (form, given) = match (input, specs.as_slice()) {
            (Input::Columns(_), specs) => {
                if let Some(spec) = specs.iter().find(|spec| spec.shape.len() != 1) {
                    return Err(format!("its column `{}` is {}", spec.name, spec.shape_text()));
                }
                (Form::Columns, specs.len() as u64)
            }
            (Input::Array, [spec]) => match spec.shape.as_slice() {
                [_, Dim::Fixed(columns)] => (Form::Array, *columns),
                _ => return Err(format!("its input `{}` is {}", spec.name, spec.shape_text())),
            },
            (Input::Array | Input::Arrays, _) => {
                return Err("its inputs are named arrays".to_owned());
            }
        };
        if given != features as u64 {
            return Err(format!(
                "its signature has {given} columns, and its trees ask for {features}"
            ));
        }
        Ok(Self { form, features, is_narrowed: is_lightgbm && form == Form::Array })
    }

    /// How many rows a request has.
    pub(super) fn rows(&self, signature: &Signature, inputs: &[Tensor]) -> Result<usize, Error> {
        let rows = |tensor: &Tensor| tensor.shape.first().copied().unwrap_or(0);
        let first = inputs.first().map_or(0, rows);
        if inputs.len() < signature.inputs.len() {
            let is_there = |name: &str| inputs.iter().any(|tensor| tensor.name == name);
            let missing = signature.inputs.iter().find(|spec| !is_there(&spec.name));
            let name = missing.map_or("", |spec| spec.name.as_str());
            return Err(Problem::invalid(
                name,
                format!("`{name}` is missing: trees need every column, NaN where nothing is known"),
            )
            .into());
        }
        match inputs.iter().find(|tensor| rows(tensor) != first) {
            None => Ok(first),
            Some(other) => {
                let (name, found) = (&other.name, rows(other));
                Err(Problem::invalid(
                    name,
                    format!("`{name}` has {found} rows, and the first column {first}"),
                )
                .into())
            }
        }
    }

    /// Puts some rows of a request, one behind the other, in place of what `block` holds.
    pub(super) fn fill(&self, inputs: &[Tensor], from: usize, count: usize, block: &mut Vec<f64>) {
        block.clear();
        block.resize(count * self.features, 0.0);
        match self.form {
            Form::Array => {
                if let Some(tensor) = inputs.first() {
                    let (from, count) = (from * self.features, count * self.features);
                    put(&tensor.data, from, count, block.iter_mut());
                    if self.is_narrowed
                        && !matches!(tensor.datatype(), DataType::F32 | DataType::F64)
                    {
                        block.iter_mut().for_each(|x| *x = f64::from(*x as f32));
                    }
                }
            }
            Form::Columns => {
                for (column, tensor) in inputs.iter().enumerate() {
                    let places = block.iter_mut().skip(column).step_by(self.features);
                    put(&tensor.data, from, count, places);
                }
            }
        }
    }

    /// Rows as a request of that signature.
    pub(super) fn request(&self, signature: &Signature, rows: &[Vec<f64>]) -> Option<Vec<Tensor>> {
        let make = |(column, spec): (usize, &domain::TensorSpec)| {
            let numbers: Vec<f64> = match self.form {
                Form::Columns => rows.iter().filter_map(|row| row.get(column).copied()).collect(),
                Form::Array => rows.iter().flatten().copied().collect(),
            };
            let shape = match self.form {
                Form::Columns => vec![rows.len()],
                Form::Array => vec![rows.len(), self.features],
            };
            Tensor::new(&spec.name, shape, typed(&numbers, spec.datatype)?).ok()
        };
        signature.inputs.iter().enumerate().map(make).collect()
    }
}

/// Puts numbers where they belong.
fn put<'a>(
    data: &TensorData,
    from: usize,
    count: usize,
    places: impl Iterator<Item = &'a mut f64>,
) {
    macro_rules! put {
        ($elements:expr, $number:expr) => {
            for (x, place) in $elements.iter().skip(from).take(count).zip(places) {
                *place = $number(x);
            }
        };
    }
    match data {
        TensorData::Bool(elements) => put!(elements, |x: &bool| f64::from(u8::from(*x))),
        TensorData::U8(elements) => put!(elements, |x: &u8| f64::from(*x)),
        TensorData::U16(elements) => put!(elements, |x: &u16| f64::from(*x)),
        TensorData::U32(elements) => put!(elements, |x: &u32| f64::from(*x)),
        TensorData::U64(elements) => put!(elements, |x: &u64| *x as f64),
        TensorData::I8(elements) => put!(elements, |x: &i8| f64::from(*x)),
        TensorData::I16(elements) => put!(elements, |x: &i16| f64::from(*x)),
        TensorData::I32(elements) => put!(elements, |x: &i32| f64::from(*x)),
        TensorData::I64(elements) => put!(elements, |x: &i64| *x as f64),
        TensorData::F16(elements) => put!(elements, |x: &half::f16| x.to_f64()),
        TensorData::F32(elements) => put!(elements, |x: &f32| f64::from(*x)),
        TensorData::F64(elements) => put!(elements, |x: &f64| *x),
        // No table has them.
        TensorData::BF16(_) | TensorData::Bytes(_) => {}
    }
}

fn typed(numbers: &[f64], datatype: DataType) -> Option<TensorData> {
    macro_rules! typed {
        ($kind:ident, $number:expr) => {
            TensorData::$kind(numbers.iter().map($number).collect())
        };
    }
    Some(match datatype {
        DataType::Bool => typed!(Bool, |x| *x > 0.0),
        DataType::U8 => typed!(U8, |x| *x as u8),
        DataType::U16 => typed!(U16, |x| *x as u16),
        DataType::U32 => typed!(U32, |x| *x as u32),
        DataType::U64 => typed!(U64, |x| *x as u64),
        DataType::I8 => typed!(I8, |x| *x as i8),
        DataType::I16 => typed!(I16, |x| *x as i16),
        DataType::I32 => typed!(I32, |x| *x as i32),
        DataType::I64 => typed!(I64, |x| *x as i64),
        DataType::F16 => typed!(F16, |x| half::f16::from_f64(*x)),
        DataType::F32 => typed!(F32, |x| *x as f32),
        DataType::F64 => typed!(F64, |x| *x),
        DataType::BF16 | DataType::Bytes => return None,
    })
}
