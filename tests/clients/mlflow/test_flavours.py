"""Training scripts as people write them, and what they trained loaded back in every form of address."""

import importlib
import os
import subprocess

import mlflow
import numpy as np
import pytest
import requests
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

# What a model says of itself is asked for, not what it was trained with.
X, Y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)


def fitted():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(X, Y)


def shown(name, version):
    """A version as Bottega's own API shows it, after its trial; nothing where the server is MLflow's."""
    if "BOTTEGA_URL" not in os.environ:
        return None
    answer = requests.get(
        f"{os.environ['BOTTEGA_URL']}/api/v1/models/{name}/versions/{version}", params={"wait": "60"},
        headers={"authorization": f"Bearer {os.environ['BOTTEGA_TOKEN']}"}, timeout=90)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bottega(*arguments):
    return subprocess.run([os.environ["BOTTEGA_BINARY"], *arguments], capture_output=True, text=True)


def every_address(client, name, version, run_id, path, model_id):
    client.set_registered_model_alias(name, "champion", version)
    client.transition_model_version_stage(name, version, "Production")
    return [
        f"runs:/{run_id}/{path}", f"models:/{name}/{version}", f"models:/{name}@champion", f"models:/{name}/Production",
        f"models:/{name}/latest", f"models:/{model_id}", client.get_logged_model(model_id).artifact_location,
    ]


def test_sklearn_in_every_address(client, name, experiment):
    model = fitted()
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(
            model, name="model", input_example=X[:2], registered_model_name=name,
            skops_trusted_types=["numpy.dtype"])
    for uri in every_address(client, name, "1", run.info.run_id, "model", logged.model_id):
        assert (mlflow.pyfunc.load_model(uri).predict(X[:9]) == model.predict(X[:9])).all(), uri
    assert client.get_model_version(name, "1").run_id == run.info.run_id
    if version := shown(name, 1):
        assert (version["status"], version["servable"], version["runtime"]) == ("ready", "no", "python")
        assert version["reason"].startswith("it needs packages of Python, and uv"), version["reason"]
        assert (version["loader_module"], set(version["flavors"])) == ("mlflow.sklearn", {"sklearn", "python_function"})
        assert version["signature"]["inputs"] == [{"name": "input-0", "datatype": "FP32", "shape": [-1, 30]}]
        assert np.allclose(version["input_example"]["inputs"][0]["data"], X[:2].ravel())
        refused = bottega("deploy", name, "--model", f"{name}@champion")
        assert refused.returncode == 1 and "it needs packages of Python" in refused.stderr, refused


def test_sklearn_logs_itself(client, experiment):
    mlflow.sklearn.autolog(log_datasets=True)
    try:
        with mlflow.start_run() as run:
            model = LogisticRegression(max_iter=500).fit(X, Y)
            model.score(X, Y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    assert found.data.params["max_iter"] == "500" and found.data.metrics["training_score"] > 0.9
    assert found.data.tags["estimator_name"] == "LogisticRegression"
    assert [i.dataset.name for i in found.inputs.dataset_inputs] == ["dataset"]
    [output] = found.outputs.model_outputs
    assert (mlflow.pyfunc.load_model(f"models:/{output.model_id}").predict(X[:9]) == model.predict(X[:9])).all()
    assert (mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(X[:9]) == model.predict(X[:9])).all()


def test_xgboost_logs_itself(client, name, experiment):
    xgboost = importlib.import_module("xgboost")
    mlflow.xgboost.autolog(model_format="json")
    try:
        with mlflow.start_run() as run:
            table = xgboost.DMatrix(X, label=Y)
            booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2}, table, 5, evals=[(table, "train")], verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)
    assert len(client.get_metric_history(run.info.run_id, "train-logloss")) == 5
    [output] = client.get_run(run.info.run_id).outputs.model_outputs
    version = mlflow.register_model(f"models:/{output.model_id}", name).version
    for uri in every_address(client, name, version, run.info.run_id, "model", output.model_id):
        assert np.allclose(mlflow.pyfunc.load_model(uri).predict(X[:9]), booster.predict(table)[:9]), uri


def test_onnx_is_deployed_and_answers_as_onnxruntime(client, name, experiment):
    onnxruntime, skl2onnx = importlib.import_module("onnxruntime"), importlib.import_module("skl2onnx")
    proto = skl2onnx.to_onnx(fitted(), X[:1], options={"zipmap": False})
    wanted = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"X": X[:9]})
    with mlflow.start_run() as run:
        logged = mlflow.onnx.log_model(proto, name="model", input_example=X[:2], registered_model_name=name)
    for uri in every_address(client, name, "1", run.info.run_id, "model", logged.model_id):
        got = mlflow.pyfunc.load_model(uri).predict(X[:9])
        assert np.allclose(got["probabilities"], wanted[1], atol=1e-6), uri
    version = shown(name, 1)
    if not version:
        return
    assert (version["status"], version["servable"], version["runtime"]) == ("ready", "yes", "onnx"), version
    assert version["model_file"] == "model.onnx" and set(version["flavors"]) == {"onnx", "python_function"}
    assert [tensor["name"] for tensor in version["signature"]["outputs"]] == ["label", "probabilities"]
    [example] = version["input_example"]["inputs"]
    assert (example["name"], example["shape"]) == ("X", [2, 30]) and np.allclose(example["data"], X[:2].ravel())
    assert "notes" not in version, version["notes"]

    deployed = bottega("deploy", name, "--model", f"{name}@champion", "--wait")
    assert deployed.returncode == 0, deployed
    tensor = {"name": "X", "shape": [9, 30], "datatype": "FP32", "data": X[:9].ravel().tolist()}
    answer = requests.post(
        f"{os.environ['BOTTEGA_URL']}/v2/models/{name}/infer", json={"inputs": [tensor]},
        headers={"authorization": f"Bearer {os.environ['BOTTEGA_TOKEN']}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    served = {t["name"]: np.array(t["data"]).reshape(t["shape"]) for t in answer.json()["outputs"]}
    local = mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(X[:9])
    assert (served["label"] == local["label"]).all() and np.allclose(served["probabilities"], local["probabilities"], atol=1e-6)


def test_what_an_onnx_model_was_signed_with_is_compared_with_the_file(client, name, experiment):
    skl2onnx, pandas = importlib.import_module("skl2onnx"), importlib.import_module("pandas")
    proto = skl2onnx.to_onnx(fitted(), X[:1], options={"zipmap": False})
    table = pandas.DataFrame(X[:2], columns=[f"f{at}" for at in range(30)])
    with mlflow.start_run():
        mlflow.onnx.log_model(proto, name="table", input_example=table, registered_model_name=name)
        signature = mlflow.models.infer_signature(table, pandas.DataFrame({"label": [1]}))
        mlflow.onnx.log_model(proto, name="signed", signature=signature, registered_model_name=name)
    if version := shown(name, 1):
        # A table goes to the only input as a whole, as MLflow's own flavour does it.
        assert version["servable"] == "yes" and version["input_example"]["inputs"][0]["shape"] == [2, 30]
    if version := shown(name, 2):
        assert version["servable"] == "yes" and version["signature"]["inputs"][0]["name"] == "X"
        [note] = version["notes"]
        assert "the ONNX file's own is kept" in note and version["mlmodel"]["inputs"][0] == "f0: float"


def test_a_source_elsewhere_is_registered_and_not_deployed(client, name, refused):
    client.create_registered_model(name)
    for number, source in enumerate(["s3://bucket/model", "http://elsewhere.example/model"], 1):
        version = client.create_model_version(name, source)
        assert (version.version, version.status, version.source) == (str(number), "READY", source)
        assert client.get_model_version_download_uri(name, str(number)) == source
        if ours := shown(name, number):
            assert (ours["servable"], ours["is_external"]) == ("no", True)
            failed = bottega("deploy", name, "--model", f"{name}/{number}")
            assert failed.returncode == 1 and f"its source is `{source}`" in failed.stderr, failed
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, name, "file:///srv/model")
    refused("RESOURCE_DOES_NOT_EXIST", client.create_model_version, name, "models:/nobody-has-this/1")
