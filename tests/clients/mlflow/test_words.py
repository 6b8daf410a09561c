"""What programs and people look for in MLflow's refusals: words, as its own server has them."""

import re

import pytest

API = "/api/2.0/mlflow/"


def refusal(answer):
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["error_code"] == "INVALID_PARAMETER_VALUE", body
    return body["message"]


@pytest.mark.parametrize(
    ("call", "arguments", "words"),
    [
        ("registered-models/search", {"order_by": "foo"}, r"Invalid order by key '.*' specified"),
        ("registered-models/search", {"order_by": "tag.t1"}, r"Invalid order by key '.*' specified"),
        ("registered-models/search", {"filter": "evilhax = true"}, r"Invalid clause\(s\) in filter string"),
        ("registered-models/search", {"filter": "name LIKE AND tags.a = 'b'"}, r"Invalid clause\(s\) in filter string"),
        ("registered-models/search", {"page_token": "evilhax"}, "Invalid page token, could not base64-decode"),
        ("registered-models/search", {"max_results": "x"}, "Invalid value \"x\" for parameter 'max_results'"),
        ("model-versions/search", {"filter": "run_id IN (1,2,3)"}, "expected string value, punctuation, or whitespace, but got different type in list"),
        ("model-versions/search", {"filter": "run_id IN (,)"}, "expected a non-empty list of string values, but got ill-formed list"),
        ("model-versions/search", {"filter": "run_id IN ("}, r"Invalid clause\(s\) in filter string"),
        ("model-versions/search", {"page_token": "evilhax"}, "Invalid page token, could not base64-decode"),
    ],
)
def test_questions(raw, call, arguments, words):
    assert re.search(words, refusal(raw("GET", API + call, params=arguments)))


def posts():
    batch = {"params": [{"key": "a", "value": "2"}, {"key": "b", "value": "2"}]}
    for call, body, words in [
        ("runs/search", {"experiment_ids": ["abc"]}, r"Invalid experiment ID 'abc'\. Experiment ID must be a valid integer"),
        ("experiments/search-datasets", {"experiment_ids": ["abc"]}, "Invalid experiment ID 'abc'"),
        ("logged-models", {"experiment_id": "abc"}, "Invalid experiment ID 'abc'"),
        ("logged-models/search", {"filter": "Foo"}, "Invalid filter string"),
        ("logged-models/search", {"filter": "name = 'a' OR name = 'b'"}, "Invalid filter string"),
        ("logged-models/search", {"filter": "name > 'foo'"}, "Invalid comparison operator"),
        ("registered-models/alias", {"alias": "latest", "version": "1"}, r"'latest' alias name \(case insensitive\) is reserved"),
        ("registered-models/alias", {"alias": "v1", "version": "1"}, "Version alias name 'v1' is reserved"),
        ("registered-models/alias", {"alias": "a b", "version": "1"}, "Invalid alias name: 'a b'"),
        ("registered-models/alias", {"alias": "x" * 256, "version": "1"}, "exceeds the maximum length of 255"),
        ("registered-models/set-tag", {"key": "k$", "value": "v"}, "Names may only contain alphanumerics"),
        ("runs/log-metric", {"key": "a$", "value": 1, "timestamp": 0}, "Names may only contain alphanumerics"),
        ("runs/log-metric", {"key": "../x", "value": 1, "timestamp": 0}, "Names may be treated as files in certain cases"),
        ("runs/log-batch", {"metrics": [{"key": "m", "value": 1, "timestamp": -1}]}, "Timestamp must be a nonnegative long"),
        ("runs/log-batch", batch, r"Changing param values is not allowed\. Params were already logged='\[\{'key': 'a'"),
        ("runs/log-parameter", {"key": "a", "value": "2"}, "Param with key='a' was already logged with value='1'"),
    ]:
        yield pytest.param(call, body, words, id=f"{call} {str(body)[:40]}")


@pytest.mark.parametrize(("call", "body", "words"), posts())
def test_orders(raw, client, experiment, run, name, call, body, words):
    client.create_registered_model(name)
    client.log_param(run, "a", "1")
    client.log_param(run, "b", "1")
    given = {"experiment_ids": [experiment], "name": name, "run_id": run} | body
    api = API.replace("/api/", "/ajax-api/") if call == "experiments/search-datasets" else API
    assert re.search(words, refusal(raw("POST", api + call, json=given)))


def test_a_page_of_another_search(raw, experiment):
    """It says what is other about it."""
    for at in range(3):
        assert raw("POST", API + "logged-models", json={"experiment_id": experiment, "name": f"m{at}"}).ok
    other = raw("POST", API + "experiments/create", json={"name": f"other of {experiment}"}).json()["experiment_id"]
    first = {"experiment_ids": [experiment], "max_results": 1}
    token = raw("POST", API + "logged-models/search", json=first).json()["next_page_token"]
    for change, words in [
        ({"experiment_ids": [other]}, "Experiment IDs in the page token do not match"),
        ({"filter": "name = 'm1'"}, "Filter string in the page token does not match"),
        ({"order_by": [{"field_name": "name", "ascending": False}]}, "Order by in the page token does not match"),
    ]:
        asked = first | change | {"page_token": token}
        assert words in refusal(raw("POST", API + "logged-models/search", json=asked))
    assert raw("POST", API + "logged-models/search", json=first | {"page_token": token}).ok


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("   ", "Webhook URL cannot be empty or just whitespace"),
        ("example.com/x", "Invalid webhook URL scheme: ''"),
        ("https://", "Webhook URL must include a hostname"),
    ],
)
def test_addresses_of_webhooks(raw, name, url, words):
    event = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
    assert words in refusal(raw("POST", API + "webhooks", json={"name": name, "url": url, "events": [event]}))
