//! The ONNX engine against the real library.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail as it may")]

mod model;

use std::time::{Duration, Instant};

use domain::{DataType, Dim, Problem, Tensor, TensorData};
use inference::{
    Engine, Error, ModelFolder, arrange,
    onnx::{OnnxEngine, OnnxOptions},
};
use model::{Graph, identity, node, tensor, two_of, value};

fn load(model: &ModelFolder) -> Result<OnnxEngine, Error> {
    OnnxEngine::load(&model::runtime(), model, &OnnxOptions::default())
}

fn written(graph: &Graph) -> OnnxEngine {
    load(&graph.save(tempfile::tempdir().unwrap().path())).unwrap()
}

fn infer(engine: &mut OnnxEngine, inputs: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    engine.infer(inputs, Instant::now() + Duration::from_secs(30))
}

#[test]
fn every_datatype_comes_out_as_it_went_in() {
    for &datatype in DataType::ALL {
        let file = format!("identity/{}.onnx", datatype.as_str().to_lowercase());
        let mut engine = load(&model::real(&file)).unwrap();
        let spec = &engine.signature().inputs[0];
        assert_eq!((spec.datatype, spec.shape_text()), (datatype, "[n, 2]".to_owned()));
        let input = tensor("x", &[1, 2], two_of(datatype));
        let output = infer(&mut engine, std::slice::from_ref(&input)).unwrap();
        assert_eq!(output, [Tensor { name: "y".to_owned(), ..input }], "{datatype}");
    }
}

#[test]
fn scalars_and_empty_tensors_are_tensors() {
    let mut engine = written(&identity(DataType::I64, &[]));
    let scalar = tensor("x", &[], TensorData::I64(vec![7]));
    assert_eq!(infer(&mut engine, &[scalar]).unwrap()[0].shape, [0_usize; 0]);
    for datatype in [DataType::F32, DataType::Bool, DataType::Bytes] {
        let mut engine = written(&identity(datatype, &["n", "3"]));
        let mut empty = tensor("x", &[1, 2], two_of(datatype));
        domain::with_elements!(&mut empty.data, elements => elements.clear());
        empty.shape = vec![0, 3];
        assert_eq!(infer(&mut engine, &[empty]).unwrap()[0].shape, [0, 3], "{datatype}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_by_the_tensors_name() {
    let mut engine = written(&identity(DataType::Bytes, &["n"]));
    for (bad, what) in [(vec![0xff], "is not UTF-8"), (b"a\0b".to_vec(), "holds a zero byte")] {
        let input = tensor("x", &[2], TensorData::Bytes(vec![b"good".to_vec(), bad]));
        let problem = Problem::from(infer(&mut engine, &[input]).unwrap_err());
        assert_eq!(problem.field.as_deref(), Some("x"));
        assert_eq!(problem.message, format!("element 1 of `x` {what}"));
    }
}

#[test]
fn dimensions_keep_their_names_and_sizes() {
    let engine = written(&identity(DataType::F32, &["batch", "", "4"]));
    let shape = &engine.signature().inputs[0].shape;
    assert_eq!(shape, &[Dim::Symbolic("batch".to_owned()), Dim::Any, Dim::Fixed(4)]);
}

#[test]
fn real_models_answer_as_scikit_learn_does() {
    for name in ["breast_cancer", "digits", "color_size"] {
        let mut engine = load(&model::real(&format!("{name}.onnx"))).unwrap();
        let example = model::tensors(&format!("{name}.example.json"), "inputs");
        let example = arrange(engine.signature(), example).unwrap();
        let answer = infer(&mut engine, &example).unwrap();
        let expected = model::tensors(&format!("{name}.expected.json"), "outputs");
        assert_eq!(answer.len(), expected.len());
        for (got, wanted) in answer.iter().zip(&expected) {
            assert_eq!((&got.name, &got.shape), (&wanted.name, &wanted.shape));
            match (&got.data, &wanted.data) {
                (TensorData::F32(got), TensorData::F32(wanted)) => {
                    let apart = |(got, wanted): (&f32, &f32)| (got - wanted).abs() > 1e-5;
                    assert!(!got.iter().zip(wanted).any(apart), "{name}: {got:?} {wanted:?}");
                }
                (got, wanted) => assert_eq!(got, wanted),
            }
        }
    }
}

#[test]
fn an_unknown_operator_is_named_and_no_path_is() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = Graph {
        nodes: vec![node("example.org:Frobnicate", &["x"], &["y"], &[])],
        ..identity(DataType::F32, &["n"])
    };
    for (model, name) in [
        (model::real("unknown_operator.onnx"), "`NoSuchOp`"),
        (foreign.save(folder.path()), "`example.org:Frobnicate`"),
    ] {
        let message = load(&model).err().unwrap().to_string();
        assert!(message.contains(name) && !message.contains('/'), "{message}");
    }
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = identity(DataType::F32, &["n"]).save(folder.path());
    for content in [&b""[..], b"not a model", &[0x12; 4000]] {
        std::fs::write(folder.path().join("model.onnx"), content).unwrap();
        assert!(matches!(load(&model), Err(Error::Model(_))));
    }
    for file in ["not_onnx.onnx", "truncated.onnx"] {
        assert!(matches!(load(&model::real(file)), Err(Error::Model(_))), "{file}");
    }
}

#[test]
fn what_no_protocol_carries_is_refused_by_its_type() {
    for (file, what, why) in [
        ("zipmap.onnx", "no tensor but Sequence<Map<", "\"zipmap\": False"),
        ("complex.onnx", "tensor(complex64)", "not currently registered or supported"),
    ] {
        let message = load(&model::real(file)).err().unwrap().to_string();
        assert!(message.contains(what) && message.contains(why), "{message}");
    }
}

#[test]
fn a_run_ends_at_its_deadline_and_the_next_one_runs() {
    let mut engine = load(&model::real("endless.onnx")).unwrap();
    let input = [tensor("x", &[1], TensorData::F32(vec![1.0]))];
    for _ in 0..3 {
        let start = Instant::now();
        let result = engine.infer(&input, start + Duration::from_millis(100));
        assert!(matches!(result, Err(Error::Timeout)), "{result:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    assert!(matches!(engine.infer(&input, Instant::now()), Err(Error::Timeout)));
}

#[test]
fn deadlines_of_many_engines_do_not_mix() {
    let mut quick = written(&identity(DataType::F32, &["n"]));
    let slow = std::thread::spawn(|| {
        let mut engine = load(&model::real("endless.onnx")).unwrap();
        let input = [tensor("x", &[1], TensorData::F32(vec![1.0]))];
        for _ in 0..20 {
            let deadline = Instant::now() + Duration::from_millis(5);
            assert!(matches!(engine.infer(&input, deadline), Err(Error::Timeout)));
        }
    });
    let input = [tensor("x", &[1], TensorData::F32(vec![1.0]))];
    while !slow.is_finished() {
        infer(&mut quick, &input).unwrap();
    }
    slow.join().unwrap();
}

#[test]
fn an_answer_larger_than_the_limit_is_refused() {
    let options = OnnxOptions { max_output_bytes: 4000, ..OnnxOptions::default() };
    let model = model::real("expand.onnx");
    let mut engine = OnnxEngine::load(&model::runtime(), &model, &options).unwrap();
    let mut expand = |elements: i64| {
        infer(&mut engine, &[tensor("elements", &[1], TensorData::I64(vec![elements]))])
    };
    assert_eq!(expand(1000).unwrap()[0].shape, [1000]);
    let problem = Problem::from(expand(1001).unwrap_err());
    assert_eq!(problem.field.as_deref(), Some("y"));
    assert!(problem.message.contains("4000 bytes"), "{}", problem.message);
    assert!(matches!(expand(1 << 46), Err(Error::Memory)));
}

#[test]
fn a_models_failure_names_the_node_and_not_the_server() {
    let mut engine = written(&model::table());
    let error = infer(&mut engine, &[tensor("x", &[1], TensorData::I64(vec![99]))]).unwrap_err();
    assert!(matches!(error, Error::Run(_)));
    assert!(error.to_string().contains("Gather: indices element out of data bounds"), "{error}");
}

fn with_weights(location: &str, datatype: DataType) -> Graph {
    Graph {
        nodes: vec![node("Identity", &["w"], &["y"], &[])],
        outputs: vec![value("y", datatype, &["4"])],
        inputs: vec![value("x", DataType::F32, &["n"])],
        constants: vec![model::external("w", datatype, &[4], location)],
    }
}

#[test]
fn weights_beside_the_model_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let weights: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|w| w.to_le_bytes()).collect();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/w.bin"), weights).unwrap();
    let mut engine = load(&with_weights("data/w.bin", DataType::F32).save(folder.path())).unwrap();
    let output = infer(&mut engine, &[tensor("x", &[1], TensorData::F32(vec![0.0]))]).unwrap();
    assert_eq!(output[0].data, TensorData::F32(vec![1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn weights_outside_the_models_folder_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), [0; 16]).unwrap();
    let folder = outside.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let absolute = outside.path().join("secret").display().to_string();
    std::os::unix::fs::symlink(&absolute, folder.join("link")).unwrap();
    for location in ["../secret", &absolute, "missing", "link"] {
        let error = load(&with_weights(location, DataType::F32).save(&folder)).err().unwrap();
        assert!(matches!(error, Error::Model(_)), "{location}: {error}");
        assert!(!error.to_string().contains(&outside.path().display().to_string()), "{error}");
    }
}

#[test]
fn a_boolean_of_any_byte_is_true_or_false() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.bin"), [0, 1, 2, 255]).unwrap();
    let mut engine = load(&with_weights("w.bin", DataType::Bool).save(folder.path())).unwrap();
    let output = infer(&mut engine, &[tensor("x", &[1], TensorData::F32(vec![0.0]))]).unwrap();
    assert_eq!(output[0].data, TensorData::Bool(vec![false, true, true, true]));
}
