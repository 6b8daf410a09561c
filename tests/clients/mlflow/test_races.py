"""Many clients at once: one outcome, never a 500."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest


def at_once(call, many=16):
    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(call, range(many)))


def outcomes(answers):
    return Counter(a.json().get("error_code", a.status_code) if a.status_code != 200 else 200 for a in answers)


def test_one_of_many_makes_the_experiment(raw, name):
    answers = at_once(lambda _: raw("POST", "/api/2.0/mlflow/experiments/create", json={"name": name}))
    assert outcomes(answers) == {200: 1, "RESOURCE_ALREADY_EXISTS": 15}


def test_one_of_many_writes_the_param(raw, run):
    def write(i):
        return raw("POST", "/api/2.0/mlflow/runs/log-parameter", json={"run_id": run, "key": "p", "value": str(i)})

    assert outcomes(at_once(write)) == {200: 1, "INVALID_PARAMETER_VALUE": 15}


@pytest.mark.bottega  # SQLite makes MLflow refuse some of them
def test_writers_of_one_metric_lose_nothing(raw, client, run):
    def write(i):
        metrics = [{"key": f"m{k}", "value": i, "timestamp": 1000 + i, "step": i * 10 + k} for k in range(10)]
        return raw("POST", "/api/2.0/mlflow/runs/log-batch", json={"run_id": run, "metrics": metrics})

    assert outcomes(at_once(write)) == {200: 16}
    assert client.get_run(run).data.metrics == {f"m{k}": 15.0 for k in range(10)}
    assert len(client.get_metric_history(run, "m3")) == 16


def test_one_of_many_makes_the_model(raw, name):
    answers = at_once(lambda _: raw("POST", "/api/2.0/mlflow/registered-models/create", json={"name": name}))
    assert outcomes(answers) == {200: 1, "RESOURCE_ALREADY_EXISTS": 15}


def test_versions_are_numbered_without_gap_or_double(raw, client, name, run):
    client.create_registered_model(name)
    body = {"name": name, "source": f"{client.get_run(run).info.artifact_uri}/model", "run_id": run}
    answers = at_once(lambda _: raw("POST", "/api/2.0/mlflow/model-versions/create", json=body), 50)
    assert outcomes(answers) == {200: 50}
    assert sorted(int(a.json()["model_version"]["version"]) for a in answers) == list(range(1, 51))
