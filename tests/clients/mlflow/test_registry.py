"""Registered models and their versions."""

import time

import mlflow
import pytest


@pytest.fixture
def source(client, run):
    """Where a run's model lies."""
    client.log_text(run, "flavors: {}\n", "model/MLmodel")
    return f"{client.get_run(run).info.artifact_uri}/model"


@pytest.fixture
def versions(client, name, source, run):
    """Registers so many versions of a new model."""
    client.create_registered_model(name)
    return lambda many: [client.create_model_version(name, source, run).version for _ in range(many)]


@pytest.mark.calls("POST registered-models/create", "GET registered-models/get", "PATCH registered-models/update",
                   "POST registered-models/rename", "DELETE registered-models/delete",
                   "POST registered-models/set-tag", "DELETE registered-models/delete-tag")
def test_a_model_lives_and_dies(client, name, refused):
    made = client.create_registered_model(name, tags={"a": "b"}, description="what")
    assert (made.name, made.tags, made.description) == (name, {"a": "b"}, "what")
    refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, name)
    client.update_registered_model(name, description="other")
    client.set_registered_model_tag(name, "c", "d")
    client.delete_registered_model_tag(name, "a")
    found = client.get_registered_model(name)
    assert (found.tags, found.description) == ({"c": "d"}, "other")
    assert found.last_updated_timestamp >= found.creation_timestamp == made.creation_timestamp
    client.rename_registered_model(name, f"{name}-2")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, name)
    client.delete_registered_model(f"{name}-2")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, f"{name}-2")


@pytest.mark.calls("POST model-versions/create", "GET model-versions/get", "PATCH model-versions/update",
                   "POST model-versions/set-tag", "DELETE model-versions/delete-tag", "DELETE model-versions/delete",
                   "GET model-versions/get-download-uri")
def test_a_version_lives_and_dies(client, name, source, run, refused):
    client.create_registered_model(name)
    made = client.create_model_version(name, source, run, tags={"a": "b"}, description="what")
    assert (made.name, int(made.version), made.status, made.run_id) == (name, 1, "READY", run)
    bare = client.create_model_version(name, "s3://a/b")
    assert (bare.description, bare.run_id, bare.run_link) == ("", "", "")
    assert made.current_stage == "None" and made.source == source
    client.update_model_version(name, "1", "other")
    client.set_model_version_tag(name, "1", "c", "d")
    client.delete_model_version_tag(name, "1", "a")
    found = client.get_model_version(name, "1")
    assert (found.tags, found.description) == ({"c": "d"}, "other")
    folder = mlflow.artifacts.download_artifacts(client.get_model_version_download_uri(name, "1"))
    assert open(f"{folder}/MLmodel").read() == "flavors: {}\n"
    client.delete_model_version(name, "1")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, name, "1")


@pytest.mark.calls("POST registered-models/alias", "GET registered-models/alias", "DELETE registered-models/alias")
def test_aliases(client, name, versions, refused):
    versions(2)
    client.set_registered_model_alias(name, "champion", "1")
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    client.set_registered_model_alias(name, "champion", "2")
    assert client.get_registered_model(name).aliases in ({"champion": "2"}, {"champion": 2})
    assert client.get_model_version(name, "2").aliases == ["champion"]
    assert client.get_model_version(name, "1").aliases == []
    client.delete_registered_model_alias(name, "champion")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, name, "champion")


def test_files_of_a_copy_are_where_those_of_the_original_are(client, name):
    client.create_registered_model(name)
    client.create_model_version(name, "s3://a/b")
    copy = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    again = client.copy_model_version(f"models:/{name}-copy/{copy.version}", f"{name}-again")
    for version in (copy, again):
        assert client.get_model_version_download_uri(version.name, str(version.version)) == "s3://a/b"


@pytest.mark.parametrize("alias", ["latest", "v1", "V12", "a b", "a.b", "a/b", "", "x" * 256])
def test_an_alias_that_is_none(client, name, versions, refused, alias):
    """Trap f."""
    versions(1)
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, name, alias, "1")


@pytest.mark.parametrize("alias", ["x" * 255, "v", "v1a", "Champion_2-b", "1"])
def test_an_alias_that_is_one(client, name, versions, alias):
    """Trap f."""
    versions(1)
    client.set_registered_model_alias(name, alias, "1")
    assert str(client.get_model_version_by_alias(name, alias).version) == "1"


@pytest.mark.calls("POST model-versions/transition-stage")
def test_stages(client, name, versions, refused):
    versions(2)
    before = client.get_registered_model(name).last_updated_timestamp
    time.sleep(0.01)
    moved = client.transition_model_version_stage(name, "1", "Production")
    assert moved.current_stage == "Production"
    assert client.get_registered_model(name).last_updated_timestamp > before
    client.transition_model_version_stage(name, "2", "production", archive_existing_versions=True)
    assert client.get_model_version(name, "1").current_stage == "Archived"
    assert client.get_model_version(name, "2").current_stage == "Production"
    refused("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, name, "1", "Nowhere")


@pytest.mark.calls("POST registered-models/get-latest-versions")
def test_the_newest_version_of_each_stage(client, name, versions):
    """Trap g."""
    versions(4)
    for version in ("1", "2"):
        client.transition_model_version_stage(name, version, "Staging")
    newest = {v.current_stage: str(v.version) for v in client.get_latest_versions(name)}
    assert newest == {"None": "4", "Staging": "2"}
    assert [str(v.version) for v in client.get_latest_versions(name, ["Staging"])] == ["2"]
    assert client.get_latest_versions(name, ["Production"]) == []


@pytest.mark.calls("GET registered-models/search")
def test_models_are_found(client, name):
    """Trap c: the client asks for what is no prompt, which is every model without that tag."""
    names = [f"{name}-{end}" for end in ("A", "b", "c")]
    for one in names:
        client.create_registered_model(one, tags={"end": one[-1]})

    def found(text, **options):
        return [m.name for m in client.search_registered_models(text, **options)]

    assert found(f"name LIKE '{name}-%'") == names
    assert found(f"name ILIKE '{name}-a'") == names[:1]
    assert found(f"name = '{names[1]}'") == names[1:2]
    assert found(f"tags.end = 'c' AND name LIKE '{name}%'") == names[2:]
    assert found(f"name LIKE '{name}-%'", order_by=["name DESC"]) == names[::-1]
    first = client.search_registered_models(f"name LIKE '{name}-%'", max_results=2)
    rest = client.search_registered_models(f"name LIKE '{name}-%'", max_results=2, page_token=first.token)
    assert [m.name for m in [*first, *rest]] == names and not rest.token


@pytest.mark.calls("GET model-versions/search")
def test_versions_are_found(client, name, versions, run, source):
    versions(3)
    client.set_model_version_tag(name, "2", "good", "yes")

    def found(text, **options):
        return [int(v.version) for v in client.search_model_versions(text, **options)]

    assert sorted(found(f"name = '{name}'")) == [1, 2, 3]
    assert found(f"name = '{name}' AND tags.good = 'yes'") == [2]
    assert sorted(found(f"run_id = '{run}'")) == [1, 2, 3]
    assert sorted(found(f"source_path = '{source}'")) == [1, 2, 3]
    assert sorted(found(f"name = '{name}' AND version_number > 1")) == [2, 3]
    assert found(f"name = '{name}'", order_by=["version_number ASC"]) == [1, 2, 3]


def test_a_version_of_a_logged_model_needs_its_id(client, name, experiment, run):
    """Trap d."""
    client.create_registered_model(name)
    model = client.create_logged_model(experiment, name="m", source_run_id=run)
    client.finalize_logged_model(model.model_id, "READY")
    made = client.create_model_version(name, f"models:/{model.model_id}", model_id=model.model_id)
    assert made.run_id == run


def test_a_version_is_copied(client, name, versions):
    versions(1)
    copy = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    assert copy.name == f"{name}-copy" and int(copy.version) == 1
    assert copy.source == f"models:/{name}/1"
    folder = mlflow.artifacts.download_artifacts(f"models:/{name}-copy/1")
    assert open(f"{folder}/MLmodel").read() == "flavors: {}\n"


@pytest.mark.parametrize("source", [
    "file:///etc", "/etc/passwd", "mlflow-artifacts:/../../etc", "mlflow-artifacts:/0/%2e%2e/%2e%2e/etc",
])
def test_a_source_that_leads_out_is_refused(client, name, run, refused, source):
    client.create_registered_model(name)
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, name, source, run)


def test_limits_of_tags(client, name, refused):
    """Trap j."""
    client.create_registered_model(name)
    client.set_registered_model_tag(name, "long", "x" * 100_000)
    assert len(client.get_registered_model(name).tags["long"]) == 100_000
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_tag, name, "long", "x" * 100_001)
    refused("INVALID_PARAMETER_VALUE", client.set_registered_model_tag, name, "k" * 251, "x")


@pytest.mark.parametrize("call", [
    lambda c, n: c.get_registered_model(n), lambda c, n: c.get_model_version(n, "1"),
    lambda c, n: c.delete_registered_model(n), lambda c, n: c.rename_registered_model(n, f"{n}-2"),
    lambda c, n: c.set_registered_model_alias(n, "a", "1"), lambda c, n: c.get_model_version_download_uri(n, "1"),
    lambda c, n: c.transition_model_version_stage(n, "1", "Staging"),
])
def test_a_model_that_is_not_there(client, name, refused, call):
    refused("RESOURCE_DOES_NOT_EXIST", call, client, name)


@pytest.mark.calls("GET registered-models/get-latest-versions")
def test_latest_versions_by_a_query_string(raw, client, name):
    client.create_registered_model(name)
    answer = raw("GET", "/api/2.0/mlflow/registered-models/get-latest-versions", params={"name": name})
    assert answer.status_code == 200 and answer.json() == {}
