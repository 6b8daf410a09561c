//! Trees run in the node: what every engine keeps to, as far as trees can.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

mod model;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{DataType, Problem, Signature, Tensor, TensorData};
use inference::{Engine, Error, NativeTrees, ReplicaOptions, arrange};
use model::{tensor, two_of};
use serde_json::{Value, json};
use trees::{Model, Predictions};

const FEATURES: usize = 6;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../trees/tests/models")
}

fn loaded(
    file: &str,
    input: &Value,
    signature: &Value,
    output_bytes: usize,
) -> Result<NativeTrees, String> {
    let loader = match file.strip_suffix(".txt") {
        Some(_) => {
            json!({"flavour": "lightgbm", "file": file, "class": "lightgbm.basic.Booster", "format": "x"})
        }
        None => json!({"flavour": "xgboost", "file": file, "class": "xgboost.core.Booster"}),
    };
    let model = json!({"folder": "", "loader": loader, "input": input, "python": "3.11", "requirements": []});
    let signature: Signature = serde_json::from_value(signature.clone()).unwrap();
    NativeTrees::load(&serde_json::from_value(model).unwrap(), &signature, &folder(), output_bytes)
}

/// Columns `a` to `f` of a type in, a number `y` out.
fn columns(file: &str, datatype: DataType) -> NativeTrees {
    let names = ["a", "b", "c", "d", "e", "f"];
    let inputs =
        names.map(|name| json!({"name": name, "datatype": datatype.as_str(), "shape": [-1]}));
    let form = names.map(|name| json!({"name": name, "type": "any"}));
    let signature =
        json!({"inputs": inputs, "outputs": [{"name": "y", "datatype": "FP64", "shape": ["n"]}]});
    loaded(file, &json!({"columns": form}), &signature, 1 << 20).unwrap()
}

/// FP32 rows `x` in, a row of numbers `y` out.
fn array(file: &str, width: usize, output_bytes: usize) -> NativeTrees {
    let signature = json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, FEATURES]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, width]}],
    });
    loaded(file, &json!("array"), &signature, output_bytes).unwrap()
}

fn infer(engine: &mut dyn Engine, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Error> {
    let inputs = arrange(engine.signature(), inputs)?;
    engine.infer(&inputs, Instant::now() + Duration::from_secs(60))
}

/// Different rows, some with a value missing.
fn rows(count: usize) -> Vec<f32> {
    let number =
        |at: usize| if at % 11 == 3 { f32::NAN } else { (at * 37 % 101) as f32 / 25.0 - 2.0 };
    (0..count * FEATURES).map(number).collect()
}

fn x(rows: &[f32]) -> Vec<Tensor> {
    vec![tensor("x", &[rows.len() / FEATURES, FEATURES], TensorData::F32(rows.to_vec()))]
}

/// What the trees say, asked past the engine.
fn said(file: &str, rows: &[f32]) -> Vec<f32> {
    let model = Model::xgboost(&std::fs::read(folder().join(file)).unwrap(), trees::Class::Booster)
        .unwrap();
    let rows: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
    let mut said = model.nothing();
    model.predict(&rows, &mut said).unwrap();
    let Predictions::F32(said) = said else { unreachable!("{said:?}") };
    said
}

fn numbers(data: &TensorData) -> Vec<f64> {
    match data {
        TensorData::Bool(of) => of.iter().map(|&x| f64::from(u8::from(x))).collect(),
        TensorData::U8(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::U16(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::U32(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::U64(of) => of.iter().map(|&x| x as f64).collect(),
        TensorData::I8(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::I16(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::I32(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::I64(of) => of.iter().map(|&x| x as f64).collect(),
        TensorData::F16(of) => of.iter().map(|x| x.to_f64()).collect(),
        TensorData::F32(of) => of.iter().map(|&x| f64::from(x)).collect(),
        TensorData::F64(of) => of.clone(),
        TensorData::BF16(_) | TensorData::Bytes(_) => Vec::new(),
    }
}

#[test]
fn every_type_of_number_goes_in_by_columns_in_any_order() {
    let truth =
        Model::lightgbm(&std::fs::read(folder().join("lgb_categories.txt")).unwrap()).unwrap();
    for &datatype in DataType::ALL {
        if matches!(datatype, DataType::Bytes | DataType::BF16) {
            continue;
        }
        let mut engine = columns("lgb_categories.txt", datatype);
        let data = two_of(datatype);
        let mut inputs: Vec<_> =
            ["f", "b", "d", "a", "c", "e"].map(|name| tensor(name, &[2], data.clone())).to_vec();
        let answer = infer(&mut engine, inputs.clone()).unwrap();
        let numbers = numbers(&data);
        let rows = [[numbers[0]; FEATURES], [numbers[1]; FEATURES]].concat();
        let mut wanted = truth.nothing();
        truth.predict(&rows, &mut wanted).unwrap();
        let Predictions::F64(wanted) = wanted else { unreachable!() };
        assert_eq!(answer, [tensor("y", &[2], TensorData::F64(wanted))], "{datatype}");

        let dropped = inputs.pop().unwrap();
        let problem = Problem::from(infer(&mut engine, inputs.clone()).unwrap_err());
        assert!(problem.message.contains("`e` is missing"), "{problem}");
        inputs.push(tensor("e", &[1], dropped.data.first(1)));
        let problem = Problem::from(infer(&mut engine, inputs).unwrap_err());
        assert_eq!(
            (problem.field.as_deref(), problem.message.as_str()),
            (Some("e"), "`e` has 1 rows, and the first column 2")
        );
    }
}

#[test]
fn rows_of_several_blocks_and_no_rows_are_answered() {
    let mut engine = array("xgb_softprob.ubj", 3, 1 << 20);
    for count in [0, 1, 63, 64, 65, 1000] {
        let rows = rows(count);
        let answer = infer(&mut engine, x(&rows)).unwrap();
        let wanted = tensor("y", &[count, 3], TensorData::F32(said("xgb_softprob.ubj", &rows)));
        assert_eq!(answer, [wanted]);
    }
}

#[test]
fn a_run_ends_at_its_deadline_and_the_next_one_runs() {
    let mut engine = array("xgb_binary.ubj", 1, 1 << 20);
    let late = engine.infer(&x(&rows(200)), Instant::now());
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    assert!(infer(&mut engine, x(&rows(200))).is_ok());
}

#[test]
fn an_answer_larger_than_the_limit_is_refused() {
    let mut engine = array("xgb_softprob.ubj", 3, 120);
    assert_eq!(infer(&mut engine, x(&rows(10))).unwrap()[0].shape, [10, 3]);
    let problem = Problem::from(infer(&mut engine, x(&rows(11))).unwrap_err());
    assert_eq!(problem.field.as_deref(), Some("y"));
    assert!(problem.message.contains("120 bytes"), "{problem}");
}

#[test]
fn what_the_library_refuses_is_refused_and_the_next_is_answered() {
    let mut engine = array("xgb_binary.ubj", 1, 1 << 20);
    let problem = Problem::from(infer(&mut engine, x(&[f32::INFINITY; FEATURES])).unwrap_err());
    assert!(problem.message.contains("infinite"), "{problem}");
    assert!(infer(&mut engine, x(&rows(1))).is_ok());
}

#[test]
fn requests_share_runs_and_get_their_own_rows() {
    let engine = array("xgb_binary.ubj", 1, 1 << 20);
    let options = ReplicaOptions { cores: 2, threads: Some(2), ..ReplicaOptions::default() };
    let replica = Arc::new(engine.serve(&options, Some(x(&rows(2)))).unwrap());
    assert!(replica.profile().batchable && replica.threads() == 2);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let all = rows(600);
    let asked: Vec<_> = all
        .chunks(FEATURES)
        .map(|row| {
            let (replica, row) = (Arc::clone(&replica), row.to_vec());
            runtime.spawn(async move {
                let deadline = Instant::now() + Duration::from_secs(60);
                (replica.infer(x(&row), deadline).await, row)
            })
        })
        .collect();
    for asked in asked {
        let (answer, row) = runtime.block_on(asked).unwrap();
        assert_eq!(answer.unwrap().outputs[0].data, TensorData::F32(said("xgb_binary.ubj", &row)));
    }
    runtime.block_on(replica.drain());
}

#[test]
fn signatures_that_trees_do_not_fit_are_refused() {
    let output = json!([{"name": "y", "datatype": "FP32", "shape": [-1]}]);
    let of = |input: Value, inputs: Value, outputs: &Value| {
        let signature = json!({"inputs": inputs, "outputs": outputs});
        loaded("xgb_binary.ubj", &input, &signature, 1).err().unwrap()
    };
    let x =
        |datatype: &str, shape: Value| json!([{"name": "x", "datatype": datatype, "shape": shape}]);
    for (found, why) in [
        (of(json!("array"), x("BYTES", json!([-1, 6])), &output), "its input `x` is BYTES"),
        (
            of(json!("array"), x("FP32", json!([-1, 5])), &output),
            "its signature has 5 columns, and its trees ask for 6",
        ),
        (
            of(json!("array"), x("FP32", json!([2, 6])), &output),
            "its input `x` is [2, 6], not of any number of rows",
        ),
        (of(json!("array"), x("FP32", json!([-1, -1])), &output), "its input `x` is [?, ?]"),
        (of(json!("arrays"), x("FP32", json!([-1, 6])), &output), "its inputs are named arrays"),
        (
            of(json!("array"), x("FP32", json!([-1, 6])), &json!([])),
            "its signature has several outputs",
        ),
        (
            of(
                json!("array"),
                x("FP32", json!([-1, 6])),
                &json!([{"name": "y", "datatype": "INT64", "shape": [-1]}]),
            ),
            "its output `y` is INT64",
        ),
    ] {
        assert_eq!(found, why);
    }
}
