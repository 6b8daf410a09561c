"""Promotion rules, and how a version that they stand against is refused."""

import mlflow
import pytest

pytestmark = pytest.mark.bottega


@pytest.fixture
def version(client, name, experiment):
    """Registers a version of a model by a new run that logged these metrics."""

    def register(**metrics):
        run = client.create_run(experiment).info
        for key, value in metrics.items():
            client.log_metric(run.run_id, key, value)
        client.log_text(run.run_id, "flavors: {}\n", "model/MLmodel")
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        return str(client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id).version)

    return register


@pytest.fixture
def rule(raw, name):
    def add(text, target=None):
        answer = raw("POST", f"/api/v1/models/{name}/rules", json={"rule": text, "target": target})
        assert answer.status_code == 201, answer.text

    return add


def status(raised):
    return raised.get_http_status_code()


@pytest.mark.calls("POST registered-models/alias")
def test_an_alias_is_not_set_against_a_rule(client, name, version, rule, refused):
    first = version(accuracy=0.87, loss=0.2)
    rule("accuracy >= 0.9")
    rule("loss < 1")
    rule("has signature", "champion")
    raised = refused("PERMISSION_DENIED", client.set_registered_model_alias, name, "champion", first)
    assert status(raised) == 403
    for told in ("`accuracy >= 0.9` (0.87, required >= 0.9)", "`loss < 1` (0.2, required < 1)", "`has signature` (no value"):
        assert told in str(raised)
    assert client.get_registered_model(name).aliases == {}
    client.set_registered_model_alias(name, "challenger", version(accuracy=0.95, loss=0.1))


@pytest.mark.calls("POST model-versions/transition-stage")
def test_a_version_is_not_moved_to_a_stage_against_a_rule(client, name, version, rule, refused):
    first = version(accuracy=0.87)
    rule("accuracy >= 0.9", "Production")
    raised = refused("PERMISSION_DENIED", client.transition_model_version_stage, name, first, "production")
    assert status(raised) == 403 and "`accuracy >= 0.9` (0.87, required >= 0.9)" in str(raised)
    assert client.get_model_version(name, first).current_stage == "None"
    client.transition_model_version_stage(name, first, "Staging")
    client.transition_model_version_stage(name, version(accuracy=0.9), "Production", archive_existing_versions=True)


def test_the_champion_must_be_beaten(client, name, version, rule, refused):
    rule_ = "accuracy >= champion + 0.005"
    first, second, third = version(accuracy=0.9), version(accuracy=0.904), version(accuracy=0.905)
    rule(rule_, "champion")
    client.set_registered_model_alias(name, "champion", first)
    raised = refused("PERMISSION_DENIED", client.set_registered_model_alias, name, "champion", second)
    assert f"`{rule_}` (0.904, required >= 0.905)" in str(raised)
    client.set_registered_model_alias(name, "champion", third)
    assert str(client.get_model_version_by_alias(name, "champion").version) == third


def test_what_is_measured_on_the_dataset_counts(client, name, experiment, run, rule, refused):
    model = client.create_logged_model(experiment, name="m", source_run_id=run)
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model(name)
    made = client.create_model_version(name, f"models:/{model.model_id}", model_id=model.model_id)
    rule("accuracy >= 0.9 on dataset june")

    def measured(value, dataset, step):
        client.log_metric(run, "accuracy", value, step=step, model_id=model.model_id, dataset_name=dataset,
                          dataset_digest=f"d-{dataset}")

    measured(0.95, "may", 0)
    raised = refused("PERMISSION_DENIED", client.set_registered_model_alias, name, "champion", made.version)
    assert "(no value, required >= 0.9)" in str(raised)
    measured(0.92, "june", 1)
    client.set_registered_model_alias(name, "champion", made.version)


def test_what_mlflow_moved_is_in_the_history(client, name, version, raw):
    first, second = version(), version()
    client.set_registered_model_alias(name, "champion", first)
    client.transition_model_version_stage(name, second, "Staging")
    items = raw("GET", f"/api/v1/models/{name}/history").json()["items"]
    told = [(i["kind"], i.get("to_version") or i.get("to_stage")) for i in items]
    assert told == [("stage", "Staging"), ("alias", 1)]
    assert raw("POST", f"/api/v1/models/{name}/stages/Staging/revert", json={}).status_code == 200
    assert client.get_model_version(name, second).current_stage == "None"


@pytest.mark.calls("POST model-versions/create")
def test_a_version_is_made_of_the_latest(client, name, version):
    version(), version()
    client.create_registered_model(f"{name}-copy")
    copy = client.create_model_version(f"{name}-copy", f"models:/{name}/latest")
    assert copy.source == f"models:/{name}/2"
    assert mlflow.artifacts.list_artifacts(client.get_model_version_download_uri(f"{name}-copy", "1"))
