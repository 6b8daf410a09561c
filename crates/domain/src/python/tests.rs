use serde_json::json;

use super::*;

fn requirement(line: &str) -> Result<Requirement, String> {
    line.parse()
}

#[test]
fn a_requirement_is_a_name_with_versions_markers_and_hashes() {
    let hash = "a".repeat(64);
    for line in [
        "numpy",
        "numpy==1.26.4",
        "scikit_learn>=1.5, <2",
        "pandas[performance,excel]~=2.2",
        "torch==2.1.0+cpu; python_version < \"3.13\" and sys_platform == 'linux'",
        "scipy (>=1.10)",
        "xgboost!=2.*",
        &format!("numpy==1.26.4 --hash=sha256:{hash} --hash=sha256:{hash}"),
    ] {
        assert_eq!(requirement(line).map(|it| it.to_string()), Ok(line.to_owned()));
    }
    assert_eq!(requirement("Scikit_Learn.._x>=1").unwrap().name(), "scikit-learn-x");
}

#[test]
fn what_is_an_option_an_address_or_a_path_is_refused_by_name() {
    for (line, why) in [
        ("-e .", "is an option"),
        ("--index-url https://evil.example", "is an option"),
        ("-r other.txt", "is an option"),
        ("numpy==1 --index-url evil", "is none that pip reads"),
        ("numpy==1 --hash=sha256:00 --index-url=x", "has an option besides"),
        ("numpy; python_version > '3' --no-deps", "has a marker that is none"),
        ("git+https://example.org/x.git", "names an address or a file"),
        ("x @ https://example.org/x.whl", "names an address or a file"),
        ("./wheels/x", "names an address or a file"),
        ("x-1.0-py3-none-any.whl", "names an address or a file"),
        ("../x", "names an address or a file"),
        ("==1.0", "does not begin with the name"),
        ("numpy>=", "is none that pip reads"),
        ("numpy 1.2", "is none that pip reads"),
        ("numpy[x", "is none that pip reads"),
        ("numpy==1\u{7}", "is none that pip reads"),
    ] {
        let refusal = requirement(line).unwrap_err();
        assert!(refusal.contains(why), "{line}: {refusal}");
        assert!(refusal.starts_with("the requirement `"), "{refusal}");
    }
}

#[test]
fn versions_of_python_fit_by_their_series() {
    let version = |text: &str| text.parse::<PythonVersion>().unwrap();
    assert!(version("3.11.7").fits(&version("3.11")));
    assert!(!version("3.11.7").fits(&version("3.12.7")));
    assert_eq!(
        (version("3.11").to_string(), version("3.9.1").series()),
        ("3.11".into(), "3.9".into())
    );
    for wrong in ["", "3", "3.x", "3.11.7.1", "3.11.7rc1"] {
        assert!(wrong.parse::<PythonVersion>().is_err(), "{wrong}");
    }
}

fn mlmodel(flavors: serde_json::Value, inputs: serde_json::Value) -> MlModel {
    let outputs = json!([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]);
    let file = json!({
        "flavors": flavors,
        "signature": {"inputs": inputs.to_string(), "outputs": outputs.to_string()},
    });
    MlModel::parse(file.to_string().as_bytes()).unwrap()
}

fn sklearn() -> serde_json::Value {
    json!({
        "python_function": {"loader_module": "mlflow.sklearn", "python_version": "3.11.7", "predict_fn": "predict_proba"},
        "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
    })
}

fn columns() -> serde_json::Value {
    json!([{"type": "double", "name": "age", "required": true}, {"type": "string", "name": "city", "required": false}])
}

fn files(requirements: &str) -> Files {
    Files { requirements: Some(requirements.into()), ..Files::default() }
}

fn model(mlmodel: &MlModel, files: &Files) -> Result<PythonModel, String> {
    let signature = mlmodel.schemas.as_ref().map(|schemas| schemas.signature().unwrap());
    PythonModel::read(mlmodel, "m", files, signature.as_ref())
}

fn lines(model: &PythonModel) -> Vec<String> {
    model.requirements.iter().map(ToString::to_string).collect()
}

#[test]
fn a_native_flavour_needs_no_mlflow_and_what_it_is_given_decides_what_else() {
    let text =
        "mlflow==3.17.2\n# made by hand\nscikit-learn==1.9.1 # pinned\ncloudpickle\\\n  ==3.1\n\n";
    let found = model(&mlmodel(sklearn(), columns()), &files(text)).unwrap();
    assert_eq!(lines(&found), ["scikit-learn==1.9.1", "cloudpickle ==3.1", "numpy", "pandas"]);
    assert_eq!(found.file().unwrap().as_str(), "m/model.pkl");
    assert_eq!(found.python.to_string(), "3.11.7");
    assert!(matches!(&found.loader, Loader::Sklearn { format, method, .. }
        if format == "cloudpickle" && method == "predict_proba"));
    let column = |name: &str, kind: &str| Column { name: Some(name.into()), kind: kind.into() };
    assert_eq!(
        found.input,
        Input::Columns(vec![column("age", "double"), column("city", "string")])
    );

    let tensor = json!([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]);
    let found = model(&mlmodel(sklearn(), tensor), &files("scikit-learn\nnumpy<2")).unwrap();
    assert_eq!(
        (lines(&found), found.input),
        (vec!["scikit-learn".into(), "numpy<2".into()], Input::Array)
    );
}

#[test]
fn any_other_model_is_loaded_by_mlflow() {
    let flavors = json!({"python_function": {"loader_module": "mlflow.pyfunc.model", "python_version": "3.12.1", "code": "code"}});
    let named = json!([{"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}]);
    let found = model(&mlmodel(flavors, named), &files("mlflow==3.17.2\nnumpy==2.4.6")).unwrap();
    assert_eq!(lines(&found), ["mlflow==3.17.2", "numpy==2.4.6"]);
    assert_eq!((found.loader.name(), found.file().unwrap().as_str()), ("pyfunc", "m/MLmodel"));
    assert_eq!((found.input, found.code), (Input::Arrays, Some("code".parse().unwrap())));
}

#[test]
fn the_python_and_the_packages_are_found_in_every_file_of_mlflow() {
    let bare = json!({"python_function": {"loader_module": "mlflow.pyfunc.model"}});
    let bare = mlmodel(bare, columns());
    let python_env = Files {
        python_env: Some(
            b"python: 3.10.13\nbuild_dependencies: [pip==23]\ndependencies: [mlflow, numpy]".into(),
        ),
        ..Files::default()
    };
    let found = model(&bare, &python_env).unwrap();
    assert_eq!(
        (found.python.to_string(), lines(&found)),
        ("3.10.13".into(), vec!["mlflow".into(), "numpy".into(), "pandas".into()])
    );
    let conda = |text: &str| Files { conda: Some(text.into()), ..Files::default() };
    let found = model(
        &bare,
        &conda(
            "channels: [conda-forge]\ndependencies: [python=3.9.18, 'pip<=23', {pip: [mlflow]}]",
        ),
    )
    .unwrap();
    assert_eq!(
        (found.python.to_string(), lines(&found)),
        ("3.9.18".into(), vec!["mlflow".into(), "numpy".into(), "pandas".into()])
    );
    let refusal =
        model(&bare, &conda("dependencies: [python=3.9, cudatoolkit=11, {pip: [mlflow]}]"))
            .unwrap_err();
    assert!(refusal.starts_with("`conda.yaml` asks for `cudatoolkit` from conda"), "{refusal}");
}

#[test]
fn what_cannot_run_says_what_is_missing() {
    let found = mlmodel(sklearn(), columns());
    let refused = |files: &Files| model(&found, files).unwrap_err();
    assert!(refused(&Files::default()).starts_with("no packages are named"));
    assert!(refused(&files("-e .")).starts_with("the requirement `-e .` is an option"));
    assert!(refused(&files(&"numpy\n".repeat(501))).starts_with("it names 501 requirements"));
    let without = PythonModel::read(&found, "", &files("numpy"), None).unwrap_err();
    assert!(without.starts_with("it has no signature"), "{without}");
    let outside = json!({"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {"pickled_model": "../x"}});
    assert!(
        model(&mlmodel(outside, columns()), &files("numpy"))
            .unwrap_err()
            .contains("flavors.sklearn.pickled_model")
    );
    let older = mlmodel(json!({"python_function": {"loader_module": "x"}}), columns());
    assert!(model(&older, &files("numpy")).unwrap_err().contains("which Python"));
}

#[test]
fn a_lock_and_what_was_asked_have_names() {
    let found = mlmodel(sklearn(), columns());
    let wanted = |text: &str| model(&found, &files(text)).unwrap().wanted();
    assert_eq!(wanted("scikit-learn\ncloudpickle"), wanted("cloudpickle\nscikit-learn"));
    assert_ne!(wanted("scikit-learn"), wanted("scikit-learn==1.9.1"));
    let lock = |python: &str| {
        Lock { python: python.parse().unwrap(), packages: "numpy==1".into() }.digest()
    };
    assert_eq!(lock("3.11.7"), lock("3.11.2"));
    assert_ne!(lock("3.11.7"), lock("3.12.1"));
}

#[test]
fn modules_of_its_own_are_forbidden_as_pickles_are() {
    let paths = ["MLmodel", "code/Feature.PY", "model.pkl"].map(|path| path.parse().unwrap());
    let found = model(&mlmodel(sklearn(), columns()), &files("numpy")).unwrap();
    assert_eq!(found.obstacle(Policy::Deny), None);
    let found = found.among(paths.iter());
    assert_eq!(found.obstacle(Policy::Allow), None);
    let why = found.obstacle(Policy::SafeOnly).unwrap();
    assert_eq!(
        why,
        "`code/Feature.PY` is code of its author's, and the platform's setting `pickle` is `safe-only`"
    );
}
