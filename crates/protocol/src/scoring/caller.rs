//! The other side of `/invocations`: what MLflow's scoring servers and SageMaker's containers are sent, and
//! how their answers are read.

use domain::{ErrorCode, Problem, Tensor, TensorSpec};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{
    json::explain::explain,
    nested::{Nested, append, rows},
    table::{answered, answered_rows},
};

/// What a tensor without a name is called: it is sent without one.
const UNNAMED: &str = "input-0";

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// As MLflow's: columns as a data frame, tensors as `inputs`.
    MlFlow,
    /// As containers of SageMaker are: `instances`, a value or an object for each row.
    Instances,
}

/// Appends a request to `out`. A failure leaves it as it was.
///
/// # Errors
/// BYTES that are not UTF-8, or inputs without rows where rows are sent.
pub fn encode_request(out: &mut Vec<u8>, asked: Asked, inputs: &[Tensor]) -> Result<(), Problem> {
    let are_columns = inputs.iter().all(|input| input.shape.len() == 1);
    match (asked, inputs) {
        (Asked::MlFlow, inputs) if are_columns => {
            let frame = Frame { rows: rows(inputs)?, inputs };
            append(out, &Split { dataframe_split: frame }, inputs)
        }
        (Asked::MlFlow, [only]) if only.name == UNNAMED => {
            append(out, &Inputs { inputs: Nested::whole(only) }, inputs)
        }
        (Asked::MlFlow, inputs) => append(out, &Inputs { inputs: Named(inputs) }, inputs),
        (Asked::Instances, inputs) => {
            let instances = Instances { rows: rows(inputs)?, inputs };
            append(out, &Rows { instances }, inputs)
        }
    }
}

#[derive(Serialize)]
struct Split<'a> {
    dataframe_split: Frame<'a>,
}

struct Frame<'a> {
    rows: usize,
    inputs: &'a [Tensor],
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Parts<'a> {
            columns: Vec<&'a str>,
            data: Vec<Vec<Nested<'a>>>,
        }
        let row = |row| self.inputs.iter().map(|input| Nested::row(input, row)).collect();
        let columns = self.inputs.iter().map(|input| input.name.as_str()).collect();
        Parts { columns, data: (0..self.rows).map(row).collect() }.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Inputs<T> {
    inputs: T,
}

struct Named<'a>(&'a [Tensor]);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|it| (it.name.as_str(), Nested::whole(it))))
    }
}

#[derive(Serialize)]
struct Rows<'a> {
    instances: Instances<'a>,
}

struct Instances<'a> {
    rows: usize,
    inputs: &'a [Tensor],
}

impl Serialize for Instances<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.rows).map(|row| Instance { row, inputs: self.inputs }))
    }
}

struct Instance<'a> {
    row: usize,
    inputs: &'a [Tensor],
}

impl Serialize for Instance<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = |input| Nested::row(input, self.row);
        match self.inputs {
            [only] => value(only).serialize(serializer),
            all => serializer.collect_map(all.iter().map(|it| (it.name.as_str(), value(it)))),
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `predictions`")]
struct Answer<'a> {
    #[serde(borrow)]
    predictions: &'a RawValue,
}

/// Reads the answer to such a request: the outputs that are asked for, in that order. Predictions are an
/// object with a list for each output, a list with an object for each row, or the values of the only output;
/// a bare list without an object around it is that too.
///
/// # Errors
/// It is none, or one of the outputs is not there.
pub fn decode_answer(body: &[u8], outputs: &[TensorSpec]) -> Result<Vec<Tensor>, Problem> {
    let text = str::from_utf8(body)
        .map_err(|_| Problem::new(ErrorCode::Invalid, "the body is no text"))?;
    let predictions: &RawValue = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| explain::<&RawValue>(&error, body))?
    } else {
        let answer: Answer<'_> =
            serde_json::from_str(text).map_err(|error| explain::<Answer<'_>>(&error, body))?;
        answer.predictions
    };
    let rows = predictions.get().strip_prefix('[').map(str::trim_start);
    if rows.is_some_and(|rows| rows.starts_with('{')) {
        answered_rows(predictions, outputs, "predictions")
    } else {
        answered(predictions, outputs, "predictions")
    }
}

#[cfg(test)]
mod tests {
    use domain::{Signature, TensorData};
    use serde_json::{Value, json};

    use super::{
        super::{Format, Layout, decode, encode},
        *,
    };

    fn signature(inputs: &Value) -> Signature {
        serde_json::from_value(json!({"inputs": inputs, "outputs": []})).unwrap()
    }

    fn columns() -> [Tensor; 2] {
        [
            Tensor::new("age", vec![2], TensorData::I64(vec![31, 58])).unwrap(),
            Tensor::new("city", vec![2], TensorData::Bytes(vec!["Brno".into(), "Köln".into()]))
                .unwrap(),
        ]
    }

    fn sent(asked: Asked, inputs: &[Tensor]) -> Value {
        let mut body = Vec::new();
        encode_request(&mut body, asked, inputs).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn columns_go_as_a_data_frame_tensors_whole_and_instances_by_row() {
        let body = sent(Asked::MlFlow, &columns());
        let data = json!([[31, "Brno"], [58, "Köln"]]);
        assert_eq!(body, json!({"dataframe_split": {"columns": ["age", "city"], "data": data}}));
        let specs = json!([{"name": "age", "datatype": "INT64", "shape": [-1]}, {"name": "city", "datatype": "BYTES", "shape": [-1]}]);
        let read =
            decode(Format::Json, body.to_string().as_bytes(), &signature(&specs), 1 << 20).unwrap();
        assert_eq!(read.inputs, columns());
        let x = |name| Tensor::new(name, vec![1, 2], TensorData::F32(vec![0.5, 1.0])).unwrap();
        assert_eq!(sent(Asked::MlFlow, &[x("x")]), json!({"inputs": {"x": [[0.5, 1.0]]}}));
        assert_eq!(sent(Asked::MlFlow, &[x(UNNAMED)]), json!({"inputs": [[0.5, 1.0]]}));
        assert_eq!(sent(Asked::Instances, &[x("x")]), json!({"instances": [[0.5, 1.0]]}));
        let rows = json!([{"age": 31, "city": "Brno"}, {"age": 58, "city": "Köln"}]);
        assert_eq!(sent(Asked::Instances, &columns()), json!({"instances": rows}));
    }

    #[test]
    fn every_form_of_predictions_is_read() {
        let specs = signature(&json!([{"name": "age", "datatype": "INT64", "shape": [-1]}, {"name": "city", "datatype": "BYTES", "shape": [-1]}])).inputs;
        for layout in [Layout::Tensors, Layout::Records] {
            let mut body = Vec::new();
            encode(&mut body, layout, &columns()).unwrap();
            assert_eq!(decode_answer(&body, &specs).unwrap(), columns(), "{layout:?}");
        }
        for body in [
            json!({"predictions": [31, 58]}),
            json!([31, 58]),
            json!({"predictions": {"age": [31, 58]}}),
            json!({"predictions": [{"age": 31}, {"age": 58, "more": 1}]}),
        ] {
            assert_eq!(
                decode_answer(body.to_string().as_bytes(), &specs[..1]).unwrap(),
                &columns()[..1],
                "{body}"
            );
        }
        for wrong in [
            "",
            "<html>",
            "{}",
            "[1.5]",
            "{\"predictions\": \"x\"}",
            "{\"predictions\": [{\"a\": 1}]}",
        ] {
            assert!(decode_answer(wrong.as_bytes(), &specs[..1]).is_err(), "{wrong}");
        }
    }
}
