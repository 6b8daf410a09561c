"""Arguments as they come over the wire, without MLflow's client: what is taken, and how the rest is refused."""

import json

import pytest
from mlflow.exceptions import MlflowException

API = "/api/2.0/mlflow"


@pytest.fixture
def refusal(raw):
    """Sends a body and answers the message that it is refused with."""

    def send(path, body=None, method="POST", code="INVALID_PARAMETER_VALUE", status=400, **options):
        answer = raw(method, API + path, **({"json": body} if body is not None else {}), **options)
        assert (answer.status_code, answer.json().get("error_code")) == (status, code), answer.text
        return answer.json()["message"]

    return send


@pytest.mark.parametrize("path, body, said", [
    ("/experiments/create", {"name": 123}, "Invalid value 123 for parameter 'name' supplied"),
    ("/experiments/create", {"name": "x", "artifact_location": 9.0}, "Invalid value 9.0 for parameter 'artifact_location' supplied"),
    ("/experiments/create", {"name": "x", "tags": "5"}, "Invalid value \"5\" for parameter 'tags' supplied"),
    ("/experiments/create", {}, "Missing value for required parameter 'name'"),
    ("/runs/log-metric", {"run_id": 31, "key": "m", "value": 4, "timestamp": 5}, "Invalid value 31 for parameter 'run_id' supplied"),
    ("/runs/log-metric", {"run_id": "a", "key": "m", "value": 4, "timestamp": 5, "step": "foo"}, "Invalid value \"foo\" for parameter 'step' supplied"),
    ("/runs/log-metric", {"run_id": None, "key": "m", "value": 4, "timestamp": 5}, "Missing value for required parameter 'run_id'"),
    ("/runs/log-batch", {"run_id": "a" * 32, "metrics": "foo"}, "Invalid value \"foo\" for parameter 'metrics' supplied"),
    ("/runs/log-batch", {"run_id": "a/b", "metrics": []}, "Invalid value \"a/b\" for parameter 'run_id' supplied"),
    ("/runs/log-inputs", {"run_id": "-b", "datasets": []}, "Invalid value \"-b\" for parameter 'run_id' supplied"),
    ("/runs/set-tag", {"run_id": "a", "key": "k", "value": 41}, "Invalid value 41 for parameter 'value' supplied"),
    ("/runs/set-tag", {"run_id": "a" * 32, "value": "v"}, "Missing value for required parameter 'key'"),
])
def test_a_wrong_argument_is_named_with_its_value(refusal, path, body, said):
    assert said in refusal(path, body)


def test_a_run_that_is_not_there_is_told_from_an_id_that_is_none(refusal):
    body = {"run_id": "no-such-run", "metrics": []}
    refusal("/runs/log-batch", body, code="RESOURCE_DOES_NOT_EXIST", status=404)


@pytest.mark.parametrize("headers, body", [
    ({}, b"{}"),
    ({"content-type": "text/plain"}, b'{"name": "x"}'),
    ({"content-type": "application/x-www-form-urlencoded"}, b"name=x"),
])
def test_what_a_form_of_another_page_could_send_is_refused(refusal, headers, body):
    assert "Content-Type" in refusal("/experiments/create", data=body, headers=headers)


def test_json_with_a_charset_in_a_text_and_with_fields_that_nobody_knows(raw, name):
    body = {"name": name, "tags": [{"key": "k", "value": "v", "new": 1}], "brand_new": {"a": []}}
    headers = {"content-type": "application/json; charset=utf-8"}
    made = raw("POST", f"{API}/experiments/create", data=json.dumps(json.dumps(body)), headers=headers)
    assert made.status_code == 200, made.text
    found = raw("GET", f"{API}/experiments/get-by-name", params={"experiment_name": name, "brand_new": "1"})
    assert found.json()["experiment"]["experiment_id"] == made.json()["experiment_id"]


def test_numbers_of_64_bits_may_be_texts(raw, run):
    body = {"run_id": run, "key": "m", "value": "NaN", "timestamp": "12", "step": "9007199254740993"}
    assert raw("POST", f"{API}/runs/log-metric", json=body).status_code == 200
    shown = raw("GET", f"{API}/runs/get", params={"run_id": run, "run_uuid": run}).json()["run"]["data"]["metrics"]
    assert int(shown[0]["step"]) == 9007199254740993


@pytest.mark.parametrize("params, said", [
    ({"metric_key": "m"}, "must specify at least one run_id"),
    ({"run_id": ["a"] * 101, "metric_key": "m"}, "cannot specify more than 100"),
    ({"run_id": "a"}, "must specify a metric_key"),
])
def test_metrics_of_several_runs_want_runs_and_a_key(refusal, params, said):
    assert said in refusal("/metrics/get-history-bulk", method="GET", params=params)


@pytest.mark.parametrize("params, said", [
    ({"metric_key": "m"}, "Missing value for required parameter 'run_ids'"),
    ({"run_ids": ["a"] * 101, "metric_key": "m"}, "must specify at most 100 run_ids"),
    ({"run_ids": "a"}, "Missing value for required parameter 'metric_key'"),
    ({"run_ids": "a", "metric_key": "m", "max_results": 0}, "max_results must be between 1 and 2500"),
    ({"run_ids": "a", "metric_key": "m", "start_step": 1}, "both must be specified"),
])
def test_samples_of_metrics_want_runs_a_key_and_a_range(refusal, params, said):
    assert said in refusal("/metrics/get-history-bulk-interval", method="GET", params=params)


@pytest.mark.parametrize("source", [
    "mlflow-artifacts://host:9000/models/../../../", "http://host:9000/models/../../../", "s3a://bucket/a/..%2f..%2f",
    "mlflow-artifacts://host:9000/models/artifact%00",
])
def test_a_source_that_leads_elsewhere(client, refusal, name, source):
    client.create_registered_model(name)
    said = refusal("/model-versions/create", {"name": name, "source": source})
    assert "If supplying a source as an http, https," in said


def test_a_logged_model_knows_its_versions(client, experiment, name):
    client.create_registered_model(name)
    model = client.create_logged_model(experiment)
    for _ in range(2):
        client.create_model_version(name, model.model_uri, model_id=model.model_id)
    told = json.loads(client.get_logged_model(model.model_id).tags["mlflow.modelVersions"])
    assert [(each["name"], int(each["version"])) for each in told] == [(name, 1), (name, 2)]


def test_a_small_file_is_uploaded_by_a_post(raw, run):
    post = "/ajax-api/2.0/mlflow/upload-artifact"
    for params, data, said in [
        ({}, b"x", "Request must specify run_uuid."),
        ({"run_uuid": run, "path": ""}, b"x", "Request must specify path."),
        ({"run_uuid": run, "path": "../a"}, b"x", "Invalid path"),
        ({"run_uuid": run, "path": "a"}, b"", "Request must specify data."),
        ({"run_uuid": run, "path": "a"}, b"x" * (10 << 20) + b"x", "too large"),
    ]:
        answer = raw("POST", post, params=params, data=data)
        assert answer.status_code == 400 and said in answer.json()["message"], answer.text
    answer = raw("POST", post, params={"run_uuid": run, "path": "notes/a.txt"}, data="hällo".encode())
    assert answer.status_code == 200, answer.text
    assert raw("GET", "/get-artifact", params={"run_uuid": run, "path": "notes/a.txt"}).content == "hällo".encode()


@pytest.mark.bottega
def test_there_is_one_workspace(raw, refusal):
    headers = {"X-MLFLOW-WORKSPACE": "team-a"}
    said = refusal("/experiments/get", method="GET", params={"experiment_id": "0"}, headers=headers, code="FEATURE_DISABLED")
    assert "MLFLOW_WORKSPACE" in said
    assert raw("GET", "/api/3.0/mlflow/server-info", headers=headers).json()["workspaces_enabled"] is False
    for only in ("default", ""):
        answer = raw("GET", f"{API}/experiments/get", params={"experiment_id": "0"}, headers={"X-MLFLOW-WORKSPACE": only})
        assert answer.status_code == 200, answer.text


def test_the_registry_refuses_in_words_that_clients_look_for(client, name):
    client.create_registered_model(name)
    client.create_model_version(name, "s3://bucket/a")
    for call, said in [
        (lambda: client.create_registered_model(name), f"Registered Model (name={name}) already exists"),
        (lambda: client.set_registered_model_tag(name, "k", "x" * 100_001), "'value' exceeds the maximum length of 100000 characters"),
        (lambda: client.set_model_version_tag(name, "1", "k" * 251, "x"), "'key' exceeds the maximum length of 250 characters"),
        (lambda: client.search_model_versions(order_by=["run_id"]), "Invalid attribute key 'run_id' specified"),
        (lambda: client.transition_model_version_stage(name, "1", "Archived", archive_existing_versions=True), "is not an Active stage"),
        (lambda: client.get_model_version("no" + name, "1"), f"Model Version (name=no{name}, version=1) not found"),
    ]:
        with pytest.raises(MlflowException) as refusal:
            call()
        assert said in str(refusal.value)


def test_a_prompt_and_a_model_do_not_share_a_name(client, raw, name):
    prompt = {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
    create = f"{API}/registered-models/create"
    assert raw("POST", create, json={"name": name}).status_code == 200
    assert raw("POST", create, json={"name": f"{name}-p", **prompt}).status_code == 200
    for body, said in [
        ({"name": name}, f"Registered Model (name={name}) already exists"),
        ({"name": name, **prompt}, "already taken by a registered model"),
        ({"name": f"{name}-p", **prompt}, f"Prompt (name={name}-p) already exists"),
        ({"name": f"{name}-p"}, "already taken by a prompt"),
    ]:
        answer = raw("POST", create, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS"), answer.text
        assert said in answer.json()["message"], answer.text


def test_a_file_of_a_version_is_asked_for_by_its_name(client, raw, run, name):
    client.log_text(run, "hello", "model/a.txt")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run}/model", run)
    answer = raw("GET", "/model-versions/get-artifact", params={"name": name, "version": "1", "path": "a.txt"})
    assert (answer.status_code, answer.text) == (200, "hello")
    answer = raw("GET", "//model-versions/get-artifact", params={"name": name, "version": "1", "path": "../a.txt"})
    assert (answer.status_code, answer.json()) == (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"})


def test_a_version_of_a_run_that_is_not_here_is_registered_as_mlflow_does(client, name):
    client.create_registered_model(name)
    made = client.create_model_version(name, "runs:/run_id/model", "run_id")
    assert (made.version, made.status, made.source, made.run_id) == ("1", "READY", "runs:/run_id/model", "run_id")
    assert [found.version for found in client.search_model_versions(f"name = '{name}' AND run_id = 'run_id'")] == ["1"]
