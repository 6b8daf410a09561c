"""Logged models of MLflow 3."""

import mlflow
import pandas
import pytest
from mlflow.entities import LoggedModelStatus


@pytest.fixture
def model(client, experiment, run):
    return client.create_logged_model(
        experiment, name="net", source_run_id=run, tags={"a": "b"}, params={"depth": "3"}, model_type="agent").model_id


@pytest.mark.calls("POST logged-models", "GET logged-models/{model_id}", "PATCH logged-models/{model_id}")
def test_a_model_is_made_and_finished(client, experiment, run, model):
    made = client.get_logged_model(model)
    assert made.model_id.startswith("m-") and made.status == LoggedModelStatus.PENDING
    assert (made.name, made.experiment_id, made.source_run_id, made.model_type) == ("net", experiment, run, "agent")
    assert made.tags["a"] == "b" and made.params == {"depth": "3"}
    assert made.artifact_location.endswith(f"{experiment}/models/{model}/artifacts")
    assert client.finalize_logged_model(model, "READY").status == LoggedModelStatus.READY
    assert client.get_logged_model(model).status == LoggedModelStatus.READY


@pytest.mark.calls("PATCH logged-models/{model_id}/tags", "DELETE logged-models/{model_id}/tags/{tag_key}")
def test_tags(client, model):
    client.set_logged_model_tags(model, {"c": "d", "e/f": "g"})
    client.delete_logged_model_tag(model, "a")
    tags = client.get_logged_model(model).tags
    assert tags["c"] == "d" and tags["e/f"] == "g" and "a" not in tags


@pytest.mark.calls("POST logged-models/{model_id}/params")
def test_params(client, model):
    client.log_model_params(model, {"width": "5"})
    assert client.get_logged_model(model).params == {"depth": "3", "width": "5"}


@pytest.mark.calls("DELETE logged-models/{model_id}")
def test_a_model_is_deleted(client, model, refused):
    client.delete_logged_model(model)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, model)


@pytest.mark.calls("GET logged-models/{model_id}/artifacts/directories")
def test_files(raw, client, model, tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"1234")
    client.log_model_artifact(model, str(tmp_path / "weights.bin"))
    files = client.list_logged_model_artifacts(model)
    assert [(f.path, f.file_size) for f in files] == [("weights.bin", 4)]
    listed = raw("GET", f"/api/2.0/mlflow/logged-models/{model}/artifacts/directories").json()
    assert [(f["path"], int(f["file_size"])) for f in listed["files"]] == [("weights.bin", 4)]
    got = mlflow.artifacts.download_artifacts(f"models:/{model}")
    assert open(f"{got}/weights.bin", "rb").read() == b"1234"


@pytest.mark.calls("POST runs/outputs")
def test_a_runs_models_and_their_metrics(client, experiment):
    frame = pandas.DataFrame({"a": [1]})
    dataset = mlflow.data.from_pandas(frame, name="d")
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(name="net")
        mlflow.finalize_logged_model(model.model_id, "READY")
        mlflow.log_outputs(models=[mlflow.entities.LoggedModelOutput(model.model_id, 1)])
        mlflow.log_metric("loss", 0.25, model_id=model.model_id, dataset=dataset)
        mlflow.log_metric("loss", 0.5, step=1, model_id=model.model_id)
    found = client.get_logged_model(model.model_id)
    assert {(m.key, m.value, m.dataset_name) for m in found.metrics} >= {("loss", 0.25, "d"), ("loss", 0.5, None)}
    assert [o.model_id for o in client.get_run(run.info.run_id).outputs.model_outputs] == [model.model_id]


@pytest.mark.calls("POST logged-models/search")
def test_models_are_found(client, experiment):
    with mlflow.start_run() as run:
        ids = []
        for i, name in enumerate(["one", "two", "three"]):
            model = client.create_logged_model(experiment, name=name, source_run_id=run.info.run_id, params={"n": name})
            mlflow.log_metric("loss", float(i), model_id=model.model_id)
            ids.append(model.model_id)

    def found(text=None, **options):
        return [m.model_id for m in client.search_logged_models([experiment], filter_string=text, **options)]

    assert found() == ids[::-1]
    assert found("name = 'two'") == ids[1:2]
    assert found("params.n = 'three'") == ids[2:]
    assert sorted(found("metrics.loss >= 1")) == sorted(ids[1:])
    assert sorted(found(f"source_run_id = '{run.info.run_id}'")) == sorted(ids)
    assert found(order_by=[{"field_name": "metrics.loss", "ascending": False}]) == ids[::-1]
    assert found(order_by=[{"field_name": "metrics.loss", "ascending": True}], max_results=2) == ids[:2]
    first = client.search_logged_models([experiment], max_results=2)
    rest = client.search_logged_models([experiment], max_results=2, page_token=first.token)
    assert [m.model_id for m in [*first, *rest]] == ids[::-1]


def test_what_is_not_there(client, refused):
    refused("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, "m-" + "0" * 32)
