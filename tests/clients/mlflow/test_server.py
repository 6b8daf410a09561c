"""The server itself: who may, what it is, and what it has not."""

import mlflow
import pytest
import requests
from conftest import TOKEN, URL


def test_it_is_well_and_says_its_version():
    assert requests.get(f"{URL}/health", timeout=30).text == "OK"
    assert requests.get(f"{URL}/version", timeout=30).text == mlflow.__version__


@pytest.mark.calls("GET server-info")
def test_it_says_what_it_can_do(raw):
    answer = raw("GET", "/api/3.0/mlflow/server-info")
    assert answer.status_code == 200 and answer.json()["store_type"], answer.text


@pytest.mark.bottega
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic Zm9vOmJhcg=="}, {"authorization": "x"}])
def test_who_is_nobody_is_told_so(headers):
    answer = requests.get(f"{URL}/api/2.0/mlflow/runs/get?run_id=x", headers=headers, timeout=30)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == 'Basic realm="mlflow"'
    assert answer.json()["error_code"] == "UNAUTHENTICATED"


@pytest.mark.bottega
def test_the_token_is_a_password_too(monkeypatch, client):
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", TOKEN)
    assert client.get_experiment("0").name == "Default"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(mlflow.MlflowException, match="UNAUTHENTICATED"):
        client.get_experiment("0")


@pytest.mark.bottega
@pytest.mark.parametrize("path", ["3.0/mlflow/traces", "2.0/mlflow/gateway-proxy", "3.0/mlflow/scorers/list", "2.0/mlflow/nonsense"])
def test_what_is_not_here_says_so(raw, path):
    answer = raw("POST", f"/api/{path}", json={})
    assert answer.status_code in (404, 501) and answer.json()["error_code"] and answer.json()["message"], answer.text


@pytest.mark.bottega
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"x"', b"null", b'{"run_id": 5}', b"[" * 100_000])
def test_a_body_that_is_none(raw, body):
    answer = raw("POST", "/api/2.0/mlflow/runs/log-metric", data=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST"), answer.text


def test_headers_of_the_client_are_no_trouble(raw, experiment):
    """Trap k."""
    headers = {"x-mlflow-client-version": mlflow.__version__}
    answer = raw("GET", f"/api/2.0/mlflow/experiments/get?experiment_id={experiment}", headers=headers)
    assert answer.status_code == 200, answer.text
