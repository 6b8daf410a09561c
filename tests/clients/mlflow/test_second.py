"""MLflow 2, as its clients use a server: stages, and models that are folders of runs."""

import json

import mlflow
import numpy as np
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [2.0], [3.0]])
MODEL = LogisticRegression().fit(X, [0, 0, 1, 1])


def test_this_is_mlflow_2():
    assert mlflow.__version__.startswith("2.")


@pytest.mark.calls("POST runs/create", "POST runs/update", "POST runs/log-batch", "GET runs/get", "POST runs/search")
def test_runs(client, experiment):
    with mlflow.start_run(run_name="two") as run:
        mlflow.log_params({"a": 1})
        mlflow.log_metrics({"loss": 0.5}, step=2)
        mlflow.set_tag("b", "c")
        mlflow.log_text("text", "sub/a.txt")
    client.log_batch(run.info.run_id, [Metric("acc", 1.0, 1, 0)], [Param("d", "e")], [RunTag("f", "g")])
    found = client.get_run(run.info.run_id)
    assert found.data.params == {"a": "1", "d": "e"} and found.data.metrics == {"loss": 0.5, "acc": 1.0}
    assert found.info.status == "FINISHED" and found.data.tags["f"] == "g"
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/sub/a.txt") == "text"
    frame = mlflow.search_runs([experiment], "metrics.loss < 1 AND tags.b = 'c'", ViewType.ACTIVE_ONLY)
    assert list(frame.run_id) == [run.info.run_id]


@pytest.mark.calls("POST runs/log-model")
def test_a_run_remembers_the_models_it_logged(client, experiment):
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(MODEL, "model")
    [entry] = json.loads(client.get_run(run.info.run_id).data.tags["mlflow.log-model.history"])
    assert entry["artifact_path"] == "model" and "sklearn" in entry["flavors"]


@pytest.mark.calls("POST model-versions/transition-stage", "POST registered-models/get-latest-versions")
def test_stages_and_every_address(client, name, experiment):
    for _ in range(2):
        with mlflow.start_run() as run:
            mlflow.sklearn.log_model(MODEL, "model", registered_model_name=name)
    client.transition_model_version_stage(name, "1", "Production")
    client.transition_model_version_stage(name, "2", "Production", archive_existing_versions=True)
    stages = {v.version: v.current_stage for v in client.search_model_versions(f"name = '{name}'")}
    assert stages == {"1": "Archived", "2": "Production"}
    client.set_registered_model_alias(name, "champion", "2")
    for uri in [f"models:/{name}/Production", f"models:/{name}/2", f"models:/{name}@champion", f"runs:/{run.info.run_id}/model"]:
        assert (mlflow.pyfunc.load_model(uri).predict(X) == MODEL.predict(X)).all(), uri


def test_sklearn_logs_itself(client, experiment):
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            LogisticRegression(C=2.0).fit(X, [0, 0, 1, 1])
    finally:
        mlflow.sklearn.autolog(disable=True)
    assert client.get_run(run.info.run_id).data.params["C"] == "2.0"
    assert (mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").predict(X) == MODEL.predict(X)).all()


def test_errors(client, name, refused):
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name)
    client.create_registered_model(name)
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
