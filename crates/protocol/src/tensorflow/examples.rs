//! `:classify` and `:regress`: examples of named features in, classes with scores or single values out.

use std::{borrow::Cow, collections::HashSet};

use domain::{DataType, ErrorCode, Problem, Signature, Tensor};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::value::RawValue;

use super::predict::check_signature_name;
use crate::{
    json::{data::Dialect, explain::explain},
    nested::{Nested, append, rows},
    table::{Frame, Row},
};

/// What examples are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Classes with scores, as the model has them: the output of floats that has several for each row, and
    /// beside it one of labels of the same shape. Where there is none, a class is called by its position.
    Classify,
    /// One value for each row: the only output of floats.
    Regress,
}

/// What is to be known of an output: its name, its type, and how many dimensions it has.
type Output<'a> = (&'a str, DataType, usize);

impl Task {
    /// Which outputs are the answer: the scores or values, and the labels.
    ///
    /// # Errors
    /// They cannot be told.
    fn outputs(self, all: &[Output<'_>]) -> Result<(usize, Option<usize>), Problem> {
        let is_float = |datatype| {
            matches!(datatype, DataType::F16 | DataType::BF16 | DataType::F32 | DataType::F64)
        };
        let of_rank = |ranks: &[usize]| -> Vec<usize> {
            let fits =
                |(_, datatype, rank): &Output<'_>| is_float(*datatype) && ranks.contains(rank);
            all.iter().enumerate().filter(|(_, output)| fits(output)).map(|(at, _)| at).collect()
        };
        let (found, wanted) = match self {
            Self::Classify => (of_rank(&[2]), "one output of floats with several for each row"),
            Self::Regress => (of_rank(&[1, 2]), "one output of floats"),
        };
        let [only] = found[..] else {
            let names: Vec<_> = all.iter().map(|(name, ..)| format!("`{name}`")).collect();
            let message = format!(
                "the model is no such one: expected {wanted}, and it has {}",
                names.join(", ")
            );
            return Err(
                Problem::new(ErrorCode::Invalid, message).hint("send `instances` to `:predict`")
            );
        };
        let is_label = |(_, datatype, rank): &Output<'_>| {
            !is_float(*datatype) && *rank == 2 && self == Self::Classify
        };
        Ok((only, all.iter().position(is_label)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `examples`")]
struct Wire<'a> {
    signature_name: Option<String>,
    #[serde(borrow)]
    context: Option<Row<'a>>,
    #[serde(borrow)]
    examples: Vec<Row<'a>>,
}

/// Reads the examples of a request. Features are the inputs of their names; the only input of a model is
/// all features, in their order, where none has its name. What `context` has is every example's that has
/// not its own.
///
/// # Errors
/// A body that is no such request, or that does not fit the signature; a model whose outputs are no
/// answer to the task.
pub fn decode_examples(
    task: Task,
    body: &[u8],
    signature: &Signature,
) -> Result<Vec<Tensor>, Problem> {
    let outputs: Vec<_> = signature
        .outputs
        .iter()
        .map(|spec| (spec.name.as_str(), spec.datatype, spec.shape.len()))
        .collect();
    task.outputs(&outputs)?;
    let wire: Wire<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<Wire<'_>>(&error, body))?;
    check_signature_name(wire.signature_name)?;
    let Some(first) = wire.examples.first() else {
        return Err(Problem::invalid("examples", "`examples` is empty: expected one at least"));
    };
    let context = wire.context.unwrap_or_default();
    for (row, field) in [(&context, "context"), (first, "examples[0]")] {
        if let Some(name) = row.repeated() {
            return Err(Problem::invalid(field, format!("`{name}` is there twice")));
        }
    }
    let common = context.names().filter(|name| first.get(name, 0).is_none());
    let columns: Vec<Cow<'_, str>> = first.names().chain(common).cloned().collect();
    let each = wire.examples.iter().enumerate();
    let rows = each
        .map(|(at, example)| cells(at, example, &columns, &context))
        .collect::<Result<_, _>>()?;
    let names = columns.clone();
    let frame = Frame { columns: columns.clone(), rows, dialect: Dialect::TensorFlow };
    let inputs = frame.tensors(signature, |row, column| {
        let name = names.get(column).map(Cow::as_ref).unwrap_or_default();
        format!("examples[{row}].{name}")
    })?;
    signature.check(&inputs)?;
    Ok(inputs)
}

/// An example's features in the order of the columns.
fn cells<'a>(
    at: usize,
    example: &Row<'a>,
    columns: &[Cow<'_, str>],
    context: &Row<'a>,
) -> Result<Vec<&'a RawValue>, Problem> {
    let field = format!("examples[{at}]");
    let mut own = 0;
    let cell = |(guess, name): (usize, &Cow<'_, str>)| {
        let value = example.get(name, guess).inspect(|_| own += 1);
        value.or_else(|| context.get(name, guess)).ok_or_else(|| {
            let message = format!("there is no `{name}`, which the first example has");
            Problem::invalid(&field, message)
        })
    };
    let cells = columns.iter().enumerate().map(cell).collect::<Result<_, _>>()?;
    if own == example.len() {
        return Ok(cells);
    }
    let known: HashSet<&str> = columns.iter().map(Cow::as_ref).collect();
    let more = example.names().find(|name| !known.contains(name.as_ref()));
    let message = match (more, example.repeated()) {
        (Some(name), _) => format!("there is `{name}`, which the first example has not"),
        (None, name) => format!("`{}` is there twice", name.unwrap_or_default()),
    };
    Err(Problem::invalid(field, message))
}

/// Appends the body of an answer to `out`. A failure leaves it as it was.
///
/// # Errors
/// Labels that are no text; outputs that are no answer to the task.
pub fn encode_results(out: &mut Vec<u8>, task: Task, outputs: &[Tensor]) -> Result<(), Problem> {
    let about: Vec<_> =
        outputs.iter().map(|it| (it.name.as_str(), it.datatype(), it.shape.len())).collect();
    let (values, labels) = task.outputs(&about)?;
    let values = outputs.get(values).ok_or_else(Problem::internal)?;
    let labels = labels.and_then(|at| outputs.get(at)).filter(|it| it.shape == values.shape);
    let width = values.shape.get(1).copied().unwrap_or(1);
    if task == Task::Regress && width != 1 {
        let message =
            format!("`{}` has {width} values for each example: expected one", values.name);
        return Err(
            Problem::new(ErrorCode::Invalid, message).hint("send `instances` to `:predict`")
        );
    }
    let rows = rows(std::slice::from_ref(values))?;
    append(out, &Answer { results: Results { task, values, labels, rows, width } }, outputs)
}

#[derive(Serialize)]
struct Answer<'a> {
    results: Results<'a>,
}

struct Results<'a> {
    task: Task,
    values: &'a Tensor,
    labels: Option<&'a Tensor>,
    rows: usize,
    width: usize,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut results = serializer.serialize_seq(Some(self.rows))?;
        for row in 0..self.rows {
            match self.task {
                Task::Regress => {
                    results.serialize_element(&Nested::row(self.values, row).flat())?
                }
                Task::Classify => results.serialize_element(&Classes { results: self, row })?,
            }
        }
        results.end()
    }
}

/// The classes of one example.
struct Classes<'a> {
    results: &'a Results<'a>,
    row: usize,
}

impl Serialize for Classes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Results { values, labels, width, .. } = self.results;
        serializer.collect_seq((0..*width).map(|class| {
            let at = self.row * width + class;
            let label = match labels {
                Some(labels) => Label::Own(Nested::element(labels, at)),
                None => Label::Position(class.to_string()),
            };
            (label, Nested::element(values, at))
        }))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Label<'a> {
    Own(Nested<'a>),
    Position(String),
}

#[cfg(test)]
mod tests {
    use domain::TensorData;
    use serde_json::{Value, json};

    use super::*;

    fn signature(inputs: Value, outputs: Value) -> Signature {
        serde_json::from_value(json!({"inputs": inputs, "outputs": outputs})).unwrap()
    }

    fn columns() -> Value {
        json!([{"name": "age", "datatype": "INT64", "shape": [-1, 1]},
               {"name": "city", "datatype": "BYTES", "shape": [-1]},
               {"name": "last", "datatype": "FP32", "shape": [-1, 2]}])
    }

    fn scores() -> Value {
        json!([{"name": "label", "datatype": "INT64", "shape": [-1]},
               {"name": "p", "datatype": "FP32", "shape": [-1, 2]}])
    }

    fn read(body: &Value, signature: &Signature) -> Result<Vec<Tensor>, Problem> {
        decode_examples(Task::Classify, body.to_string().as_bytes(), signature)
    }

    #[test]
    fn features_are_inputs_by_name_and_what_is_common_stands_once() {
        let both = signature(columns(), scores());
        let expected = vec![
            Tensor::new("age", vec![2, 1], TensorData::I64(vec![31, 58])).unwrap(),
            Tensor::new("city", vec![2], TensorData::Bytes(vec!["Brno".into(), "Köln".into()]))
                .unwrap(),
            Tensor::new("last", vec![2, 2], TensorData::F32(vec![1., 2., 3., 4.])).unwrap(),
        ];
        for body in [
            json!({"examples": [{"age": 31, "city": "Brno", "last": [1, 2]},
                                {"last": [3, 4], "age": 58, "city": {"b64": "S8O2bG4="}}]}),
            json!({"context": {"city": "Brno"}, "signature_name": "serving_default",
                   "examples": [{"age": [31], "last": [1, 2]}, {"age": [58], "last": [3, 4], "city": "Köln"}]}),
        ] {
            assert_eq!(read(&body, &both), Ok(expected.clone()), "{body}");
        }
        let matrix =
            signature(json!([{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]), scores());
        let x = Tensor::new("x", vec![1, 2], TensorData::F32(vec![1., 2.])).unwrap();
        for body in [json!({"examples": [{"x": [1, 2]}]}), json!({"examples": [{"a": 1, "b": 2}]})]
        {
            assert_eq!(read(&body, &matrix), Ok(vec![x.clone()]), "{body}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_place() {
        let both = signature(columns(), scores());
        let example = json!({"age": 31, "city": "Brno", "last": [1, 2]});
        for (body, told) in [
            (json!({}), "examples"),
            (json!({"examples": []}), "one at least"),
            (json!({"examples": [1]}), "examples[0]"),
            (json!({"examples": [{"age": 31}]}), "no column `city`"),
            (json!({"examples": [example, {"age": 31, "city": ""}]}), "no `last`"),
            (json!({"examples": [example, {"age": 1, "city": "", "last": [1, 2], "x": 1}]}), "`x`"),
            (
                json!({"context": {"city": ""}, "examples": [example, {"age": 1, "last": [1, 2], "x": 1}]}),
                "`x`",
            ),
            (json!({"examples": [{"age": "x", "city": "", "last": [1, 2]}]}), "examples[0].age"),
            (json!({"examples": [{"age": 1, "city": "", "last": [1]}]}), "has shape [1, 1]"),
            (json!({"examples": [example], "signature_name": "other"}), "signature"),
            (json!({"examples": [example], "more": 1}), "more"),
        ] {
            let problem = read(&body, &both).unwrap_err();
            assert!(format!("{problem:?}").contains(told), "{body}: {problem:?}");
        }
    }

    #[test]
    fn a_feature_stands_once() {
        let both = signature(columns(), scores());
        let first = r#"{"age": 31, "city": "Brno", "last": [1, 2]}"#;
        for (body, place) in [
            (
                format!(r#"{{"examples": [{}]}}"#, first.replace("}", r#", "age": 1}"#)),
                "examples[0]",
            ),
            (
                format!(
                    r#"{{"examples": [{first}, {{"age": 1, "age": 2, "last": [1, 2]}}], "context": {{"city": ""}}}}"#
                ),
                "examples[1]",
            ),
            (format!(r#"{{"context": {{"x": 1, "x": 2}}, "examples": [{first}]}}"#), "context"),
        ] {
            let problem = decode_examples(Task::Classify, body.as_bytes(), &both).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(place), "{body}: {problem:?}");
            assert!(problem.message.contains("there twice"), "{body}: {problem:?}");
        }
    }

    #[test]
    fn examples_of_very_many_features_are_read_in_any_order() {
        let count = 20_000;
        let matrix =
            signature(json!([{"name": "x", "datatype": "FP32", "shape": [-1, count]}]), scores());
        let example = |order: &mut dyn Iterator<Item = usize>| {
            let fields: Vec<_> = order.map(|at| format!(r#""f{at}": {at}"#)).collect();
            format!("{{{}}}", fields.join(","))
        };
        let (one, other) = (example(&mut (0..count)), example(&mut (0..count).rev()));
        let body = format!(r#"{{"examples": [{one}, {other}]}}"#);
        let read = decode_examples(Task::Classify, body.as_bytes(), &matrix).unwrap();
        let TensorData::F32(values) = &read[0].data else { panic!("{read:?}") };
        let row: Vec<f32> = (0..count).map(|at| at as f32).collect();
        assert!(values.chunks(count).all(|it| it == row));
    }

    #[test]
    fn a_model_whose_outputs_are_no_answer_is_refused_before_it_runs() {
        let output = |datatype: &str, shape: Value| json!({"name": "y", "datatype": datatype, "shape": shape});
        let body = json!({"examples": [{"age": 31, "city": "Brno", "last": [1, 2]}]}).to_string();
        for (task, outputs, fits) in [
            (Task::Classify, json!([output("FP32", json!([-1, 3]))]), true),
            (Task::Classify, json!([output("INT64", json!([-1, 3]))]), false),
            (Task::Classify, json!([output("FP32", json!([-1]))]), false),
            (Task::Regress, json!([output("FP64", json!([-1]))]), true),
            (
                Task::Regress,
                json!([output("FP64", json!([-1, 1])), output("INT64", json!([-1]))]),
                true,
            ),
            (
                Task::Regress,
                json!([output("FP64", json!([-1])), output("FP32", json!([-1]))]),
                false,
            ),
            (Task::Regress, json!([output("BYTES", json!([-1]))]), false),
        ] {
            let signature = signature(columns(), outputs.clone());
            let read = decode_examples(task, body.as_bytes(), &signature);
            assert_eq!(read.is_ok(), fits, "{task:?} {outputs}: {read:?}");
        }
    }

    #[test]
    fn results_are_pairs_of_classes_or_values() {
        let written = |task, outputs: &[Tensor]| {
            let mut out = Vec::new();
            encode_results(&mut out, task, outputs).map(|()| String::from_utf8(out).unwrap())
        };
        let p =
            Tensor::new("p", vec![2, 2], TensorData::F32(vec![0.25, 0.75, 1.0, f32::NAN])).unwrap();
        let names: Vec<Vec<u8>> = ["no", "yes", "no", "yes"].map(|name| name.into()).to_vec();
        let names = Tensor::new("classes", vec![2, 2], TensorData::Bytes(names)).unwrap();
        let label = Tensor::new("label", vec![2], TensorData::I64(vec![1, 0])).unwrap();
        assert_eq!(
            written(Task::Classify, &[names, p.clone()]).unwrap(),
            r#"{"results":[[["no",0.25],["yes",0.75]],[["no",1.0],["yes","NaN"]]]}"#
        );
        assert_eq!(
            written(Task::Classify, &[label.clone(), p.clone()]).unwrap(),
            r#"{"results":[[["0",0.25],["1",0.75]],[["0",1.0],["1","NaN"]]]}"#
        );
        let y = Tensor::new("y", vec![2, 1], TensorData::F64(vec![0.5, -1.5])).unwrap();
        assert_eq!(written(Task::Regress, &[label, y]).unwrap(), r#"{"results":[0.5,-1.5]}"#);
        assert!(written(Task::Regress, &[p]).is_err());
    }
}
