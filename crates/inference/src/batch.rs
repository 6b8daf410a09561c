//! Rows of several requests as one, and back.

use std::sync::Arc;

use domain::{Dim, Signature, Tensor, TensorData};

use crate::Error;

/// Whether the signature allows requests to be joined along the first dimension: every tensor has
/// one, of any size, and no two names say that they differ. Whether the model keeps its rows apart
/// is another question, which [`probe`](crate::probe) asks it.
pub(crate) fn may_join(signature: &Signature) -> bool {
    let mut name: Option<&str> = None;
    !signature.inputs.is_empty()
        && signature.inputs.iter().chain(&signature.outputs).all(|spec| match spec.shape.first() {
            Some(Dim::Symbolic(symbol)) => *name.get_or_insert(symbol) == symbol,
            Some(Dim::Any) => true,
            Some(Dim::Fixed(_)) | None => false,
        })
}

/// How many rows a request has; absent if it cannot be joined with others.
pub(crate) fn rows(inputs: &[Tensor]) -> Option<usize> {
    let (first, others) = inputs.split_first()?;
    let rows = *first.shape.first()?;
    let same = others.iter().all(|tensor| tensor.shape.first() == Some(&rows));
    (same && rows > 0).then_some(rows)
}

/// Whether two arranged requests differ in nothing but their rows.
pub(crate) fn fit(one: &[Tensor], other: &[Tensor]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.shape.get(1..) == other.shape.get(1..)
                && one.datatype() == other.datatype()
                && one.name == other.name
        })
}

/// Runs `$body!(Kind, elements)` for the kind of elements that the data has.
macro_rules! by_kind {
    ($data:expr, $body:ident) => {
        match $data {
            TensorData::Bool(elements) => $body!(Bool, elements),
            TensorData::U8(elements) => $body!(U8, elements),
            TensorData::U16(elements) => $body!(U16, elements),
            TensorData::U32(elements) => $body!(U32, elements),
            TensorData::U64(elements) => $body!(U64, elements),
            TensorData::I8(elements) => $body!(I8, elements),
            TensorData::I16(elements) => $body!(I16, elements),
            TensorData::I32(elements) => $body!(I32, elements),
            TensorData::I64(elements) => $body!(I64, elements),
            TensorData::F16(elements) => $body!(F16, elements),
            TensorData::BF16(elements) => $body!(BF16, elements),
            TensorData::F32(elements) => $body!(F32, elements),
            TensorData::F64(elements) => $body!(F64, elements),
            TensorData::Bytes(elements) => $body!(Bytes, elements),
        }
    };
}

/// One request out of several that [`fit`], with their rows in order.
pub(crate) fn join(requests: &[&[Tensor]]) -> Vec<Tensor> {
    let Some(first) = requests.first() else { return Vec::new() };
    first
        .iter()
        .enumerate()
        .map(|(at, tensor)| {
            let parts: Vec<&Tensor> =
                requests.iter().filter_map(|request| request.get(at)).collect();
            let mut shape = tensor.shape.clone();
            if let Some(rows) = shape.first_mut() {
                *rows = parts.iter().filter_map(|part| part.shape.first()).sum();
            }
            Tensor { name: tensor.name.clone(), shape, data: concat(&tensor.data, &parts) }
        })
        .collect()
}

/// The elements of all parts, which are of the kind of `like`.
fn concat(like: &TensorData, parts: &[&Tensor]) -> TensorData {
    macro_rules! concat {
        ($kind:ident, $like:ident) => {{
            let count = parts.iter().map(|part| part.data.len()).sum();
            let mut all = $like.get(..0).unwrap_or_default().to_vec();
            all.reserve_exact(count);
            for part in parts {
                if let TensorData::$kind(elements) = &part.data {
                    all.extend_from_slice(elements);
                }
            }
            TensorData::$kind(all)
        }};
    }
    by_kind!(like, concat)
}

/// One request's part of the outputs of a joined run. Whoever asked takes it out, on their own thread:
/// that keeps the inference thread at its models, and memory is freed where it was set aside.
#[derive(Debug)]
pub(crate) struct Part {
    outputs: Arc<[Tensor]>,
    from: usize,
    rows: usize,
}

impl Part {
    /// The outputs of that request.
    pub(crate) fn take(&self) -> Vec<Tensor> {
        self.outputs.iter().map(|output| slice(output, self.from, self.rows)).collect()
    }
}

/// The outputs of a joined run, request by request.
///
/// # Errors
/// An output that does not have one row for each row that went in.
pub(crate) fn split(outputs: Vec<Tensor>, rows: &[usize]) -> Result<Vec<Part>, Error> {
    check(&outputs, rows.iter().sum())?;
    let (mut next, outputs) = (0, Arc::from(outputs));
    let part = |&rows: &usize| {
        let from = next;
        next += rows;
        Part { outputs: Arc::clone(&outputs), from, rows }
    };
    Ok(rows.iter().map(part).collect())
}

/// Checks that all outputs have so many rows.
///
/// # Errors
/// One that does not.
pub(crate) fn check(outputs: &[Tensor], rows: usize) -> Result<(), Error> {
    match outputs.iter().find(|output| output.shape.first() != Some(&rows)) {
        None => Ok(()),
        Some(Tensor { name, shape, .. }) => {
            Err(Error::Run(format!("{rows} rows went in, but `{name}` has shape {shape:?}")))
        }
    }
}

/// Some of a tensor's rows.
pub(crate) fn slice(tensor: &Tensor, from: usize, count: usize) -> Tensor {
    let width: usize = tensor.shape.iter().skip(1).product();
    let range = from * width..(from + count) * width;
    macro_rules! slice {
        ($kind:ident, $elements:ident) => {
            TensorData::$kind($elements.get(range).unwrap_or_default().to_vec())
        };
    }
    let mut shape = tensor.shape.clone();
    if let Some(rows) = shape.first_mut() {
        *rows = count;
    }
    Tensor { name: tensor.name.clone(), shape, data: by_kind!(&tensor.data, slice) }
}

#[cfg(test)]
mod tests {
    use domain::{DataType, TensorSpec};

    use super::*;

    fn spec(name: &str, shape: &[Dim]) -> TensorSpec {
        TensorSpec {
            name: name.to_owned(),
            datatype: DataType::F32,
            shape: shape.to_vec(),
            optional: false,
        }
    }

    fn named(name: &str) -> Dim {
        Dim::Symbolic(name.to_owned())
    }

    fn request(first: f32, rows: usize) -> Vec<Tensor> {
        let numbers = (0..rows * 2).map(|at| first + at as f32).collect();
        let words = (0..rows).map(|at| format!("{first}-{at}").into_bytes()).collect();
        vec![
            Tensor::new("x", vec![rows, 2], TensorData::F32(numbers)).unwrap(),
            Tensor::new("w", vec![rows], TensorData::Bytes(words)).unwrap(),
        ]
    }

    #[test]
    fn only_one_dynamic_first_dimension_allows_joining() {
        let join = |input: &[Dim], output: &[Dim]| {
            may_join(&Signature::new(vec![spec("x", input)], vec![spec("y", output)]))
        };
        assert!(join(&[named("n"), Dim::Fixed(2)], &[named("n")]));
        assert!(join(&[Dim::Any, Dim::Fixed(2)], &[named("n")]));
        assert!(!join(&[named("n")], &[named("m")]));
        assert!(!join(&[Dim::Fixed(1)], &[named("n")]));
        assert!(!join(&[named("n")], &[]));
        assert!(!may_join(&Signature::new(vec![], vec![spec("y", &[named("n")])])));
    }

    #[test]
    fn what_is_joined_and_split_is_what_it_was() {
        let requests = [request(0.0, 1), request(10.0, 3), request(90.0, 2)];
        let views: Vec<&[Tensor]> = requests.iter().map(Vec::as_slice).collect();
        let joined = join(&views);
        assert_eq!(joined[0].shape, [6, 2]);
        assert!(joined.iter().all(|t| Some(t.data.len()) == Tensor::elements(&t.shape)));
        let parts = split(joined, &[1, 3, 2]).unwrap();
        assert_eq!(parts.iter().map(Part::take).collect::<Vec<_>>(), requests);
    }

    #[test]
    fn an_output_without_a_row_for_each_row_is_not_split() {
        let output = Tensor::new("y", vec![2], TensorData::F32(vec![0.0; 2])).unwrap();
        assert!(split(vec![output], &[1, 2]).is_err());
        let scalar = Tensor::new("y", vec![], TensorData::F32(vec![0.0])).unwrap();
        assert!(split(vec![scalar], &[1]).is_err());
    }

    #[test]
    fn requests_fit_when_they_differ_in_rows_only() {
        assert!(fit(&request(0.0, 1), &request(5.0, 4)));
        let mut wider = request(0.0, 1);
        wider[0] = Tensor::new("x", vec![1, 3], TensorData::F32(vec![0.0; 3])).unwrap();
        assert!(!fit(&request(0.0, 1), &wider));
        assert_eq!(rows(&request(0.0, 4)), Some(4));
        assert_eq!(rows(&request(0.0, 0)), None);
        let mut uneven = request(0.0, 2);
        uneven[1] = request(0.0, 1).pop().unwrap();
        assert_eq!(rows(&uneven), None);
    }
}
