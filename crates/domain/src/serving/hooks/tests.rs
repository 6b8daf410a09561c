use serde_json::json;

use super::*;
use crate::{Problem, Signature, Tensor, TensorData};

fn signature() -> Signature {
    serde_json::from_value(json!({
        "inputs": [
            {"name": "client_id", "datatype": "INT64", "shape": ["n", 1]},
            {"name": "age", "datatype": "FP32", "shape": ["n", 1]},
            {"name": "history", "datatype": "FP32", "shape": ["n", 3]},
        ],
        "outputs": [
            {"name": "score", "datatype": "FP32", "shape": ["n"]},
            {"name": "label", "datatype": "INT64", "shape": ["n"]},
        ],
    }))
    .unwrap()
}

fn read(value: &Value) -> Result<Hooks, String> {
    serde_json::from_value(value.clone()).map_err(|error| error.to_string())
}

fn fit(value: &Value) -> Result<Fitted, Problem> {
    read(value).unwrap().fit(&signature())
}

fn run(steps: &[Step], tensors: &mut Vec<Tensor>, rows: usize) -> Result<(), Problem> {
    steps.iter().try_for_each(|step| match step {
        Step::Change(change) => change.apply(tensors, rows),
        Step::Ask(_) => Ok(()),
    })
}

fn tensor(name: &str, shape: &[usize], data: TensorData) -> Tensor {
    Tensor::new(name, shape.to_vec(), data).unwrap()
}

fn names(specs: &[TensorSpec]) -> Vec<String> {
    let optional = |spec: &TensorSpec| if spec.optional { "?" } else { "" };
    specs.iter().map(|spec| format!("{} {}{}", spec.name, spec.datatype, optional(spec))).collect()
}

#[test]
fn callers_see_the_signature_as_hooks_leave_it() {
    let fitted = fit(&json!({
        "before": [
            {"http": {"url": "https://features.example/v2", "send": ["customer"], "get": ["history"]}},
            {"rename": {"column": "client_id", "as": "customer"}},
            {"cast": {"column": "age", "as": "BYTES"}},
            {"default": {"column": "age", "value": 30}},
        ],
        "after": [
            {"rename": {"column": "score", "as": "probability"}},
            {"cast": {"column": "label", "as": "BYTES"}},
            {"http": {"url": "https://words.example", "send": ["label"],
                      "get": [{"name": "word", "datatype": "BYTES", "shape": ["n"]}]}},
        ],
    }))
    .unwrap();
    assert_eq!(names(&fitted.callers.inputs), ["customer INT64", "age BYTES?"]);
    assert_eq!(names(&fitted.callers.outputs), ["probability FP32", "label BYTES", "word BYTES"]);
    let Step::Ask(ask) = &fitted.before[0] else { panic!("{:?}", fitted.before) };
    assert_eq!((ask.send.as_slice(), ask.drop.len()), (&["customer".to_owned()][..], 0));
    assert_eq!(names(&ask.get), ["history FP32"]);
}

#[test]
fn a_default_stands_in_only_for_what_is_not_there() {
    // A cast before it in the list would see the text of the default: here the model's type is filled in.
    let fitted = fit(&json!({"before": [
        {"cast": {"column": "age", "as": "BYTES"}},
        {"default": {"column": "age", "value": 30}},
        {"default": {"column": "history", "value": [1, 2, 3]}},
    ]}))
    .unwrap();
    let mut tensors = vec![tensor("client_id", &[2, 1], TensorData::I64(vec![7, 8]))];
    run(&fitted.before, &mut tensors, 2).unwrap();
    assert_eq!(tensors[1], tensor("age", &[2, 1], TensorData::F32(vec![30.0; 2])));
    let history = TensorData::F32(vec![1., 2., 3., 1., 2., 3.]);
    assert_eq!(tensors[2], tensor("history", &[2, 3], history));

    let texts =
        |texts: &[&str]| TensorData::Bytes(texts.iter().map(|it| it.as_bytes().to_vec()).collect());
    let mut tensors = vec![tensor("age", &[2, 1], texts(&["41", " 2.5 "]))];
    run(&fitted.before, &mut tensors, 2).unwrap();
    assert_eq!(tensors[0], tensor("age", &[2, 1], TensorData::F32(vec![41.0, 2.5])));
    let mut tensors = vec![tensor("age", &[2, 1], texts(&["41", "old"]))];
    let refused = run(&fitted.before, &mut tensors, 2).unwrap_err();
    assert_eq!(refused.message, "`age`: element 1, `old`, is no FP32");
}

#[test]
fn a_refused_value_is_told_by_the_callers_name_of_its_column() {
    let fitted = fit(&json!({"before": [
        {"rename": {"column": "age", "as": "years"}},
        {"cast": {"column": "age", "as": "BYTES"}},
    ]}))
    .unwrap();
    let mut tensors = vec![tensor("years", &[1, 1], TensorData::Bytes(vec![b"x".to_vec()]))];
    let refused = run(&fitted.before, &mut tensors, 1).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("years"));
}

#[test]
fn masks_replace_values_and_keep_shapes() {
    let fitted = fit(&json!({
        "before": [{"mask": {"column": "client_id"}}],
        "after": [{"mask": {"column": "score", "value": -1}}],
    }))
    .unwrap();
    let mut inputs = vec![tensor("client_id", &[2, 1], TensorData::I64(vec![7, 8]))];
    run(&fitted.before, &mut inputs, 2).unwrap();
    assert_eq!(inputs[0].data, TensorData::I64(vec![0, 0]));
    let mut outputs = vec![tensor("score", &[2], TensorData::F32(vec![0.5, 0.25]))];
    run(&fitted.after, &mut outputs, 2).unwrap();
    assert_eq!(outputs[0], tensor("score", &[2], TensorData::F32(vec![-1.0; 2])));
}

#[test]
fn types_are_cast_where_nothing_is_lost() {
    let cast = |data: TensorData, to: DataType| values::cast(&data, to);
    assert_eq!(cast(TensorData::F64(vec![3.0]), DataType::U8), Ok(TensorData::U8(vec![3])));
    assert_eq!(
        cast(TensorData::F32(vec![0.1]), DataType::Bytes),
        Ok(TensorData::Bytes(vec![b"0.1".to_vec()]))
    );
    assert_eq!(cast(TensorData::Bool(vec![true]), DataType::I64), Ok(TensorData::I64(vec![1])));
    assert_eq!(
        cast(TensorData::Bytes(vec![b"18446744073709551615".to_vec()]), DataType::U64),
        Ok(TensorData::U64(vec![u64::MAX]))
    );
    for (data, to) in [
        (TensorData::F64(vec![1.0, 3.5]), DataType::I64),
        (TensorData::F64(vec![1.0, f64::NAN]), DataType::I64),
        (TensorData::I64(vec![1, 256]), DataType::U8),
        (TensorData::I64(vec![1, 2]), DataType::Bool),
        (TensorData::F64(vec![1.0, 1e300]), DataType::F32),
        (TensorData::Bytes(vec![b"1".to_vec(), vec![0xff]]), DataType::F32),
    ] {
        assert_eq!(cast(data.clone(), to).unwrap_err().0, 1, "{data:?} {to}");
    }
    let nan = cast(TensorData::F64(vec![f64::NAN]), DataType::F32).unwrap();
    assert!(matches!(nan, TensorData::F32(values) if values[0].is_nan()));
}

#[test]
fn what_is_sent_for_a_lookup_alone_goes_no_further() {
    let fitted = fit(&json!({"before": [{"http": {
        "url": "https://features.example", "get": ["history", "age"],
        "send": ["client_id", {"name": "email", "datatype": "BYTES", "shape": ["n", 1]}],
        "timeout": "50ms",
        "headers": {"Authorization": {"credential": "features"}, "x-from": "bottega"},
    }}]}))
    .unwrap();
    assert_eq!(names(&fitted.callers.inputs), ["client_id INT64", "email BYTES"]);
    let Step::Ask(ask) = &fitted.before[0] else { panic!("{:?}", fitted.before) };
    assert_eq!((ask.drop.as_slice(), ask.timeout.as_millis()), (&["email".to_owned()][..], 50));
    assert_eq!(ask.headers[0].0.as_str(), "authorization");
}

#[test]
fn hooks_that_do_not_fit_are_refused_by_hook_and_field() {
    let http = |more: Value| {
        let mut hook =
            json!({"url": "https://x.example", "send": ["client_id"], "get": ["history"]});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"http": hook})
    };
    for (hooks, field, words) in [
        (
            json!({"before": [{"rename": {"column": "income", "as": "x"}}]}),
            "before[0].rename.column",
            "expected `client_id` or `age`",
        ),
        (
            json!({"before": [{"rename": {"column": "age", "as": "history"}}]}),
            "before[0].rename.as",
            "there is an input `history` already",
        ),
        (
            json!({"before": [{"cast": {"column": "age", "as": "FP32"}}]}),
            "before[0].cast.as",
            "is FP32 already",
        ),
        (
            json!({"before": [{"default": {"column": "age", "value": "x"}}]}),
            "before[0].default.value",
            "is no FP32",
        ),
        (
            json!({"before": [{"default": {"column": "history", "value": [1, 2]}}]}),
            "before[0].default.value",
            "has 3",
        ),
        (
            json!({"before": [{"default": {"column": "age", "value": 1}}, {"default": {"column": "age", "value": 2}}]}),
            "before[0].default.column",
            "a default already",
        ),
        (
            json!({"before": [{"mask": {"column": "age", "value": [1, 2]}}]}),
            "before[0].mask.value",
            "one value",
        ),
        (
            json!({"before": [http(json!({"on_failure": "continue"}))]}),
            "before[0].http.on_failure",
            "give it a default",
        ),
        (
            json!({"before": [http(json!({})), http(json!({}))]}),
            "before[0].http.get[0]",
            "given by before[1] already",
        ),
        (
            json!({"before": [http(json!({"send": ["history"]}))]}),
            "before[0].http.send[0]",
            "no input `history`",
        ),
        (
            json!({"before": [http(json!({"get": [{"name": "age", "datatype": "FP32", "shape": [1]}]}))]}),
            "before[0].http.get[0]",
            "name it alone",
        ),
        (
            json!({"after": [http(json!({"send": ["score"], "get": ["word"]}))]}),
            "after[0].http.get[0]",
            "give its `datatype`",
        ),
        (
            json!({"after": [http(json!({"send": ["score"], "get": [{"name": "label", "datatype": "INT8", "shape": [1]}]}))]}),
            "after[0].http.get[0]",
            "already",
        ),
        (
            json!({"after": [{"default": {"column": "score", "value": 1}}]}),
            "after[0].default.column",
            "always there",
        ),
        (
            json!({"after": [http(json!({"send": ["score"], "on_failure": "continue", "get": [{"name": "w", "datatype": "INT8", "shape": ["n"]}]}))]}),
            "after",
            "give it a default",
        ),
    ] {
        let refused = fit(&hooks).unwrap_err();
        let place = format!("serving.hooks.{field}");
        assert_eq!(refused.field.as_deref(), Some(place.as_str()), "{hooks}: {refused:?}");
        assert!(refused.message.contains(words), "{hooks}: {refused:?}");
    }
}

#[test]
fn an_answer_goes_on_without_a_server_by_a_default() {
    let fitted = fit(&json!({"after": [
        {"http": {"url": "https://w.example", "send": ["label"], "on_failure": "continue",
                  "get": [{"name": "word", "datatype": "BYTES", "shape": ["n"]}]}},
        {"default": {"column": "word", "value": "unknown"}},
    ]}))
    .unwrap();
    assert_eq!(names(&fitted.callers.outputs), ["score FP32", "label INT64", "word BYTES"]);
    let mut outputs = Vec::new();
    run(&fitted.after, &mut outputs, 2).unwrap();
    let words = TensorData::Bytes(vec![b"unknown".to_vec(); 2]);
    assert_eq!(outputs, [tensor("word", &[2], words)]);
}

#[test]
fn hooks_are_read_as_they_are_written_and_refused_in_words() {
    let value = json!({
        "before": [{"http": {"url": "https://x.example", "send": ["a"], "get": ["b"], "timeout": "50ms",
                             "on_failure": "continue", "headers": {"authorization": {"credential": "x"}}}}],
        "after": [{"mask": {"column": "c"}}],
    });
    assert_eq!(serde_json::to_value(read(&value).unwrap()).unwrap(), value);
    let http = |more: Value| {
        let mut hook = json!({"url": "https://x.example", "send": ["a"], "get": ["b"]});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"before": [{"http": hook}]})
    };
    for (value, words) in [
        (json!({"between": []}), "unknown field `between`"),
        (json!({"before": [{"drop": {}}]}), "unknown variant `drop`"),
        (json!({"before": [{"rename": {"column": "a"}}]}), "missing field `as`"),
        (json!({"before": [{"rename": {"column": "", "as": "b"}}]}), "1 to 200 characters"),
        (json!({"before": [{"cast": {"column": "a", "as": "FP128"}}]}), "FP128"),
        (json!({"before": vec![json!({"mask": {"column": "a"}}); 33]}), "at most 32"),
        (http(json!({"send": []})), "1 to 64 columns"),
        (http(json!({"send": ["a", "a"]})), "stands twice"),
        (http(json!({"send": [1]})), "expected a column's name"),
        (http(json!({"timeout": "1h"})), "1ms to 10m"),
        (http(json!({"headers": {"authorization": "Bearer x"}})), "carries a secret"),
        (http(json!({"headers": {"host": "x"}})), "set by the sender"),
        (http(json!({"headers": {"x-a": "é"}})), "expected a text"),
        (http(json!({"retries": 3})), "unknown field `retries`"),
    ] {
        let refused = read(&value).unwrap_err();
        assert!(refused.contains(words), "{value}: {refused}");
    }
}
