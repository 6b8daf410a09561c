//! Tensors, to an answer's body.

use domain::{Problem, Tensor, mlmodel::UNNAMED_OUTPUT};
use serde::{Serialize, Serializer};

use super::Layout;
use crate::nested::{Nested, append, rows};

/// Appends the body of an answer to `out`. A failure leaves it as it was. The only output of a model that
/// names none is a plain list, as MLflow's server writes an array.
///
/// # Errors
/// BYTES that are not UTF-8, or, for records, outputs without rows or with different numbers of them.
pub fn encode(out: &mut Vec<u8>, layout: Layout, outputs: &[Tensor]) -> Result<(), Problem> {
    if let [only] = outputs
        && only.name == UNNAMED_OUTPUT
    {
        return append(out, &Answer { predictions: Nested::whole(only) }, outputs);
    }
    match layout {
        Layout::Tensors => append(out, &Answer { predictions: Tensors(outputs) }, outputs),
        Layout::Records => {
            let predictions = Records { rows: rows(outputs)?, outputs };
            append(out, &Answer { predictions }, outputs)
        }
    }
}

#[derive(Serialize)]
struct Answer<T> {
    predictions: T,
}

struct Tensors<'a>(&'a [Tensor]);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|it| (it.name.as_str(), Nested::whole(it))))
    }
}

struct Records<'a> {
    rows: usize,
    outputs: &'a [Tensor],
}

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.rows).map(|row| Record { row, outputs: self.outputs }))
    }
}

struct Record<'a> {
    row: usize,
    outputs: &'a [Tensor],
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |output| Nested::row(output, self.row).flat();
        serializer.collect_map(self.outputs.iter().map(|it| (it.name.as_str(), value(it))))
    }
}

#[cfg(test)]
mod tests {
    use domain::TensorData;

    use super::*;

    fn written(layout: Layout, outputs: &[Tensor]) -> Result<String, Problem> {
        let mut out = b"before ".to_vec();
        encode(&mut out, layout, outputs)?;
        Ok(String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned())
    }

    fn outputs() -> Vec<Tensor> {
        vec![
            Tensor::new("label", vec![2], TensorData::I64(vec![1, 0])).unwrap(),
            Tensor::new("p", vec![2, 2], TensorData::F32(vec![0.25, 0.75, f32::NAN, 1.0])).unwrap(),
            Tensor::new("score", vec![2, 1], TensorData::F32(vec![1.5, 2.5])).unwrap(),
        ]
    }

    #[test]
    fn tensors_are_nested_and_records_have_a_value_for_each_output() {
        assert_eq!(
            written(Layout::Tensors, &outputs()).unwrap(),
            r#"{"predictions":{"label":[1,0],"p":[[0.25,0.75],["NaN",1.0]],"score":[[1.5],[2.5]]}}"#
        );
        assert_eq!(
            written(Layout::Records, &outputs()).unwrap(),
            concat!(
                r#"{"predictions":[{"label":1,"p":[0.25,0.75],"score":1.5},"#,
                r#"{"label":0,"p":["NaN",1.0],"score":2.5}]}"#
            )
        );
    }

    #[test]
    fn the_only_output_without_a_name_is_a_plain_list() {
        let data = TensorData::F32(vec![0.5, f32::NAN]);
        for (shape, expected) in [
            (vec![2], r#"{"predictions":[0.5,"NaN"]}"#),
            (vec![2, 1], r#"{"predictions":[[0.5],["NaN"]]}"#),
        ] {
            let output = [Tensor::new(UNNAMED_OUTPUT, shape, data.clone()).unwrap()];
            for layout in [Layout::Tensors, Layout::Records] {
                assert_eq!(written(layout, &output).unwrap(), expected);
            }
        }
        let first = Tensor::new(UNNAMED_OUTPUT, vec![2], data).unwrap();
        let several = [vec![first], outputs()].concat();
        let written = written(Layout::Tensors, &several).unwrap();
        assert!(written.starts_with(r#"{"predictions":{"output-0":[0.5,"NaN"],"#), "{written}");
    }

    #[test]
    fn outputs_without_common_rows_are_no_records() {
        let scalar = Tensor::new("t", vec![], TensorData::F32(vec![1.0])).unwrap();
        for last in [scalar, Tensor::new("t", vec![1], TensorData::F32(vec![1.0])).unwrap()] {
            let outputs = [outputs(), vec![last]].concat();
            let problem = written(Layout::Records, &outputs).unwrap_err();
            assert!(problem.message.contains("rows in common"), "{problem:?}");
            assert!(written(Layout::Tensors, &outputs).is_ok());
        }
    }

    #[test]
    fn bytes_that_are_not_text_leave_nothing_half_written() {
        let bad = Tensor::new("t", vec![1], TensorData::Bytes(vec![vec![0xff]])).unwrap();
        let mut out = b"before".to_vec();
        for layout in [Layout::Tensors, Layout::Records] {
            let problem = encode(&mut out, layout, std::slice::from_ref(&bad)).unwrap_err();
            assert!(problem.message.contains("`t`"), "{problem:?}");
            assert_eq!(out, b"before");
        }
    }
}
