"""What MLflow's client logs is one graph with what Bottega serves: from a dataset to the version and back."""

import os
import subprocess

import mlflow
import numpy
import pytest
import requests
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.bottega


def ask(path, **query):
    headers = {"Authorization": f"Bearer {os.environ['BOTTEGA_TOKEN']}"}
    answer = requests.get(f"{os.environ['BOTTEGA_URL']}/api/v1{path}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def edges(graph):
    return {(edge["from"], edge["relation"], edge["to"]) for edge in graph["edges"]}


def test_a_trained_version_is_traced_to_its_dataset_and_back(client, name, experiment):
    x, y = numpy.array([[0.0], [1.0], [2.0], [3.0]]), numpy.array([0, 0, 1, 1])
    data = mlflow.data.from_numpy(x, targets=y, name=f"data-{name}")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training")
        logged = mlflow.sklearn.log_model(LogisticRegression().fit(x, y), name="model", registered_model_name=name)
    client.set_registered_model_alias(name, "champion", 1)
    copy = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    with mlflow.start_run() as later:
        mlflow.log_input(data, context="evaluation", model=mlflow.entities.LoggedModelInput(logged.model_id))

    made, version = f"run:{run.info.run_id}", f"version:{name}/1"
    dataset, model = f"dataset:{data.name}@{data.digest}", f"logged_model:{logged.model_id}"
    chain = {
        (dataset, "input", made), (made, "produced", model), (model, "registered", version),
        (made, "produced", version), (version, "named", f"alias:{name}@champion"),
        (version, "copied", f"version:{copy.name}/{copy.version}"),
    }
    graph = ask(f"/models/{name}/versions/1/lineage")
    assert graph["root"] == version and not graph["truncated"] and chain <= edges(graph)
    assert [edge["context"] for edge in graph["edges"] if edge["relation"] == "input"] == ["training"]
    assert chain <= edges(ask("/datasets/lineage", name=data.name, digest=data.digest))
    assert chain <= edges(ask(f"/runs/{run.info.run_id}/lineage"))
    loaded = (model, "loaded", f"run:{later.info.run_id}")
    assert loaded in edges(ask(f"/runs/{run.info.run_id}/lineage"))

    needs = {(item["kind"], item["name"]): item for item in ask(f"/models/{name}/versions/1/dependents")["items"]}
    assert needs["alias", "champion"]["blocks"] is True
    assert needs["version", f"{copy.name}/{copy.version}"]["blocks"] is False
    assert needs["run", later.info.run_id]["relation"] == "loaded"
    of_run = {(item["kind"], item["name"]) for item in ask(f"/runs/{run.info.run_id}/dependents")["items"]}
    assert {("version", f"{name}/1"), ("logged_model", logged.model_id)} <= of_run

    tree = subprocess.run([os.environ["BOTTEGA_BINARY"], "versions", "lineage", f"{name}/1"],
                          check=True, capture_output=True, text=True).stdout
    assert tree.startswith(f"version {name}/1\n") and "comes from" in tree and "alias champion" in tree, tree

    client.delete_run(run.info.run_id)
    gone = {node["id"]: node["present"] for node in ask(f"/models/{name}/versions/1/lineage")["nodes"]}
    assert gone[made] is False and gone[model] is True
