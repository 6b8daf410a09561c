"""Runs and what they log, as the fluent API and `MlflowClient` do it."""

import json
import math
import time

import mlflow
import pandas
import pytest
from mlflow.entities import Metric, Param, RunTag


@pytest.mark.calls("GET experiments/get-by-name", "POST experiments/create", "GET experiments/get")
def test_set_experiment_makes_one_and_finds_it_again(name):
    made = mlflow.set_experiment(name)
    assert made.name == name and made.lifecycle_stage == "active"
    assert made.experiment_id.isdigit()
    assert mlflow.set_experiment(name).experiment_id == made.experiment_id


@pytest.mark.calls("POST runs/create", "GET runs/get", "POST runs/update")
def test_a_run_starts_and_ends(client, experiment):
    before = int(time.time() * 1000)
    with mlflow.start_run(run_name="first", tags={"team": "a"}, description="what") as run:
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
    done = client.get_run(run.info.run_id)
    assert done.info.status == "FINISHED" and done.info.run_name == "first"
    assert before <= done.info.start_time <= done.info.end_time
    assert done.info.experiment_id == experiment and done.info.lifecycle_stage == "active"
    assert done.info.artifact_uri.endswith(f"/{experiment}/{run.info.run_id}/artifacts")
    assert done.data.tags["team"] == "a" and done.data.tags["mlflow.runName"] == "first"
    assert done.data.tags["mlflow.note.content"] == "what"


def test_a_run_that_fails_says_so(client, experiment):
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as run:
            1 / 0
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_a_run_without_a_name_gets_one(client, run):
    named = client.get_run(run)
    assert named.info.run_name and named.info.run_name == named.data.tags["mlflow.runName"]


def test_name_and_name_tag_are_one(client, run):
    client.update_run(run, status="FINISHED", name="renamed")
    assert client.get_run(run).data.tags["mlflow.runName"] == "renamed"
    client.set_tag(run, "mlflow.runName", "by tag")
    assert client.get_run(run).info.run_name == "by tag"


def test_runs_are_nested(client, experiment):
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            pass
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


@pytest.mark.calls("POST runs/log-parameter", "POST runs/log-metric", "POST runs/set-tag", "POST runs/delete-tag")
def test_one_param_metric_and_tag(client, run):
    client.log_param(run, "depth", 3)
    client.log_metric(run, "loss", 0.5, timestamp=1_700_000_000_000, step=4)
    client.set_tag(run, "kind", "x")
    data = client.get_run(run).data
    assert data.params == {"depth": "3"} and data.metrics == {"loss": 0.5} and data.tags["kind"] == "x"
    client.delete_tag(run, "kind")
    assert "kind" not in client.get_run(run).data.tags


@pytest.mark.calls("POST runs/log-batch")
def test_a_batch(client, run):
    metrics = [Metric(f"m{i}", i / 7, 1_700_000_000_000 + i, i) for i in range(700)]
    params = [Param(f"p{i}", str(i)) for i in range(100)]
    tags = [RunTag(f"t{i}", str(i)) for i in range(100)]
    client.log_batch(run, metrics, params, tags)
    data = client.get_run(run).data
    assert data.metrics == {m.key: m.value for m in metrics}
    assert data.params == {p.key: p.value for p in params}
    assert {t.key: t.value for t in tags}.items() <= data.tags.items()


@pytest.mark.calls("POST runs/log-batch")
def test_the_fluent_plurals(experiment, client):
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1, "b": "two"})
        mlflow.log_metrics({"x": 1.5, "y": -2}, step=3)
        mlflow.set_tags({"c": "d"})
    data = client.get_run(run.info.run_id).data
    assert data.params == {"a": "1", "b": "two"} and data.metrics == {"x": 1.5, "y": -2.0} and data.tags["c"] == "d"


@pytest.mark.calls("GET metrics/get-history")
def test_metric_history_keeps_every_point(client, run):
    for step, value in enumerate([3.0, 1.0, 2.0]):
        client.log_metric(run, "loss", value, timestamp=1_700_000_000_000 + step, step=step)
    points = client.get_metric_history(run, "loss")
    assert [(p.step, p.value, p.timestamp) for p in points] == [
        (0, 3.0, 1_700_000_000_000), (1, 1.0, 1_700_000_000_001), (2, 2.0, 1_700_000_000_002)]
    assert client.get_metric_history(run, "never") == []


def test_the_latest_metric_is_that_of_the_last_step(client, run):
    client.log_metric(run, "loss", 1.0, timestamp=5000, step=9)
    client.log_metric(run, "loss", 2.0, timestamp=9000, step=3)
    assert client.get_run(run).data.metrics["loss"] == 1.0


def test_numbers_that_are_none(client, run):
    client.log_metric(run, "nan", math.nan)
    client.log_metric(run, "inf", math.inf)
    client.log_metric(run, "-inf", -math.inf)
    metrics = client.get_run(run).data.metrics
    assert math.isnan(metrics["nan"])
    # MLflow's SQL store keeps the largest double for infinity; Bottega keeps infinity.
    assert metrics["inf"] >= 1.7976931348623157e308 and metrics["-inf"] <= -1.7976931348623157e308
    assert math.isnan(client.get_metric_history(run, "nan")[0].value)


@pytest.mark.parametrize("key", ["a/b", "val/loss ü", "with space", "dash-dot._x", "a:b", "日本"])
def test_unusual_metric_keys(client, run, key):
    client.log_metric(run, key, 1.0)
    assert client.get_run(run).data.metrics == {key: 1.0}
    assert len(client.get_metric_history(run, key)) == 1


@pytest.mark.parametrize("key", ["../up", "/root", "a//b", "./x", "", "a\\b", "a;b", "x" * 251])
def test_metric_keys_that_are_refused(raw, run, key):
    body = {"run_id": run, "key": key, "value": 1, "timestamp": 1, "step": 0}
    answer = raw("POST", "/api/2.0/mlflow/runs/log-metric", json=body)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


def test_a_param_is_written_once(client, run, refused):
    """Trap i."""
    client.log_param(run, "depth", "3")
    client.log_param(run, "depth", "3")
    refused("INVALID_PARAMETER_VALUE", client.log_param, run, "depth", "4")
    assert client.get_run(run).data.params == {"depth": "3"}


def test_limits_of_params_and_tags(client, run, refused):
    """Trap j."""
    client.log_param(run, "long", "p" * 6000)
    client.set_tag(run, "long", "t" * 8000)
    data = client.get_run(run).data
    assert len(data.params["long"]) == 6000 and len(data.tags["long"]) == 8000


@pytest.mark.parametrize("path, body", [
    ("log-parameter", {"key": "k" * 251, "value": "x"}),
    ("log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": i, "step": i} for i in range(1001)]}),
    ("log-batch", {"params": [{"key": f"p{i}", "value": "x"} for i in range(101)]}),
    ("log-batch", {"tags": [{"key": f"t{i}", "value": "x"} for i in range(101)]}),
], ids=["key", "metrics", "params", "tags"])
def test_what_is_over_the_limits(raw, run, path, body):
    """Trap j."""
    answer = raw("POST", f"/api/2.0/mlflow/runs/{path}", json={"run_id": run, **body})
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


@pytest.mark.parametrize("path, kept", [("log-parameter", 6000), ("set-tag", 8000)])
@pytest.mark.parametrize("length", [8001, 10_000_000])
def test_a_value_too_long_is_cut_or_refused(raw, client, run, path, kept, length):
    """Trap j. MLflow cuts it, unless MLFLOW_TRUNCATE_LONG_VALUES forbids."""
    answer = raw("POST", f"/api/2.0/mlflow/runs/{path}", json={"run_id": run, "key": "long", "value": "v" * length})
    data = client.get_run(run).data
    if answer.status_code == 200:
        assert (data.params | data.tags)["long"] == "v" * kept
    else:
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
        assert "long" not in data.params | data.tags


@pytest.mark.parametrize("path, body", [
    ("runs/log-metric", {}), ("runs/log-parameter", {"key": "x"}), ("runs/set-tag", {}), ("runs/log-batch", {}),
    ("experiments/create", {}), ("runs/update", {}), ("runs/delete", {}), ("registered-models/create", {}),
    ("model-versions/create", {"name": "x"}),
])
def test_a_missing_argument_is_named(raw, path, body):
    """Trap a."""
    answer = raw("POST", f"/api/2.0/mlflow/{path}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["message"]
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"


def test_what_is_not_there(client, refused):
    """Trap a."""
    refused("RESOURCE_DOES_NOT_EXIST", client.get_run, "0" * 32)
    refused("RESOURCE_DOES_NOT_EXIST", client.log_metric, "0" * 32, "m", 1.0)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_experiment, "987654321")
    assert client.get_experiment_by_name("no such experiment") is None


@pytest.mark.calls("POST runs/log-inputs")
def test_datasets(client, experiment):
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    dataset = mlflow.data.from_pandas(frame, source="https://example.com/d.csv", name="d")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training", tags={"fold": "1"})
        mlflow.log_input(dataset, context="training", tags={"fold": "1"})
    [logged] = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("d", dataset.digest)
    assert json.loads(logged.dataset.profile) == {"num_rows": 2, "num_elements": 4}
    assert {t.key: t.value for t in logged.tags} == {"mlflow.data.context": "training", "fold": "1"}


@pytest.mark.calls("POST runs/delete", "POST runs/restore")
def test_runs_are_deleted_and_restored(client, run, refused):
    client.delete_run(run)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.log_metric, run, "m", 1.0)
    client.restore_run(run)
    assert client.get_run(run).info.lifecycle_stage == "active"
    client.log_metric(run, "m", 1.0)


@pytest.mark.calls("POST experiments/update", "POST experiments/delete", "POST experiments/restore",
                   "POST experiments/set-experiment-tag")
def test_experiments_live_and_die(client, name, refused):
    made = client.create_experiment(name, tags={"a": "b"})
    client.set_experiment_tag(made, "c", "d")
    assert {"a": "b", "c": "d"}.items() <= client.get_experiment(made).tags.items()
    run = client.create_run(made).info.run_id
    client.rename_experiment(made, f"{name} 2")
    assert client.get_experiment(made).name == f"{name} 2"
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    refused("INVALID_PARAMETER_VALUE", client.create_run, made)
    client.restore_experiment(made)
    assert client.get_run(run).info.lifecycle_stage == "active"


@pytest.mark.calls("POST experiments/delete-experiment-tag")
def test_an_experiment_tag_is_deleted(client, experiment):
    client.set_experiment_tag(experiment, "a", "b")
    client.delete_experiment_tag(experiment, "a")
    assert "a" not in client.get_experiment(experiment).tags


def test_a_name_is_taken_once(client, name, refused):
    client.create_experiment(name)
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, name)


def test_the_default_experiment_is_there(client):
    assert client.get_experiment("0").name == "Default"
