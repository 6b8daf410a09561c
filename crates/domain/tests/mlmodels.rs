//! `MLmodel` files that MLflow's own packages wrote; `mlmodels/make.py` makes them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf};

use domain::{
    Signature,
    mlmodel::{FILE, MlModel},
};
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["3.17.2", "2.22.2"];

fn read(version: &str, name: &str) -> MlModel {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/mlmodels");
    let content = fs::read(folder.join(version).join(name).join(FILE)).unwrap();
    let model =
        MlModel::parse(&content).unwrap_or_else(|problem| panic!("{version} {name}: {problem}"));
    assert_eq!(model.facts.mlflow_version.as_deref(), Some(version));
    assert_eq!(model.facts.model_uuid.as_ref().map(String::len), Some(32));
    assert!(model.facts.utc_time_created.as_ref().unwrap().starts_with("2026-"));
    model
}

fn signature(model: &MlModel) -> Result<Signature, String> {
    model.schemas.as_ref().unwrap().signature()
}

fn specs(of: &[(&str, &str, Value)]) -> Value {
    of.iter()
        .map(|(name, datatype, shape)| json!({"name": name, "datatype": datatype, "shape": shape}))
        .collect()
}

fn table() -> Value {
    specs(&[
        ("amount", "FP64", json!([-1])),
        ("age", "INT64", json!([-1])),
        ("is_new", "BOOL", json!([-1])),
    ])
}

#[test]
fn flavours_and_their_loaders() {
    for version in VERSIONS {
        for (name, flavor, loader, onnx) in [
            ("sklearn-columns", "sklearn", "mlflow.sklearn", None),
            ("sklearn-tensor", "sklearn", "mlflow.sklearn", None),
            ("sklearn-bare", "sklearn", "mlflow.sklearn", None),
            ("xgboost", "xgboost", "mlflow.xgboost", None),
            ("onnx", "onnx", "mlflow.onnx", Some("model.onnx")),
            ("pyfunc-params", "python_function", "mlflow.pyfunc.model", None),
        ] {
            let model = read(version, name);
            assert_eq!(
                (model.main_flavor(), model.loader_module()),
                (Some(flavor), Some(loader)),
                "{name}"
            );
            assert!(model.is_python());
            assert_eq!(model.flavors["python_function"]["env"]["conda"], "conda.yaml");
            assert_eq!(model.onnx_data().unwrap().map(|path| path.to_string()).as_deref(), onnx);
        }
    }
}

#[test]
fn columns_become_tensors_of_one_dimension() {
    for version in VERSIONS {
        let model = read(version, "sklearn-columns");
        let outputs = specs(&[("output-0", "INT64", json!([-1]))]);
        let expected = json!({"inputs": table(), "outputs": outputs});
        assert_eq!(serde_json::to_value(signature(&model).unwrap()).unwrap(), expected);
        assert_eq!(model.facts.inputs, ["amount: double", "age: long", "is_new: boolean"]);
        assert_eq!(model.example.unwrap().as_str(), "serving_input_example.json");
    }
}

#[test]
fn tensors_stay_what_they_are() {
    for version in VERSIONS {
        let expected = json!({
            "inputs": specs(&[("input-0", "FP32", json!([-1, 2]))]),
            "outputs": specs(&[("output-0", "INT64", json!([-1]))]),
        });
        let found = signature(&read(version, "sklearn-tensor")).unwrap();
        assert_eq!(serde_json::to_value(found).unwrap(), expected);
        let found = signature(&read(version, "xgboost")).unwrap();
        let expected =
            json!({"inputs": table(), "outputs": specs(&[("output-0", "FP32", json!([-1]))])});
        assert_eq!(serde_json::to_value(found).unwrap(), expected);
    }
}

#[test]
fn every_type_of_column_has_a_datatype() {
    for version in VERSIONS {
        let model = read(version, "pyfunc-types");
        let column = |name, datatype| (name, datatype, json!([-1]));
        let expected = json!({
            "inputs": specs(&[
                column("boolean", "BOOL"), column("integer", "INT32"), column("long", "INT64"), column("float", "FP32"),
                column("double", "FP64"), column("string", "BYTES"), column("binary", "BYTES"), column("datetime", "BYTES"),
            ]),
            "outputs": specs(&[("probabilities", "FP16", json!([-1, 3])), ("label", "BYTES", json!([-1]))]),
        });
        assert_eq!(serde_json::to_value(signature(&model).unwrap()).unwrap(), expected);
        assert_eq!(model.schemas.unwrap().optional_inputs(), ["string"]);
    }
}

#[test]
fn nested_columns_are_shown_and_left_out() {
    for version in VERSIONS {
        let model = read(version, "pyfunc-nested");
        let lines =
            ["name: string", "scores: array of double", "place: object {city: string, zip: long}"];
        assert_eq!(model.facts.inputs, lines);
        let why = signature(&model).unwrap_err();
        assert_eq!(why, "input `scores: array of double` is no tensor and no plain column");
    }
}

#[test]
fn params_are_read_with_their_defaults() {
    for version in VERSIONS {
        let params = read(version, "pyfunc-params").facts.params;
        let expected = json!([
            {"name": "temperature", "type": "double", "default": 0.5},
            {"name": "stop", "type": "string", "default": ["a", "b"], "shape": [-1]},
            {"name": "seed", "type": "long", "default": 7},
        ]);
        assert_eq!(serde_json::to_value(params).unwrap(), expected);
    }
}

#[test]
fn a_model_without_a_signature_has_none() {
    for version in VERSIONS {
        let model = read(version, "sklearn-bare");
        assert!(model.schemas.is_none() && model.example.is_none());
    }
}
