"""What these tests share. They run against Bottega (tests/tests/mlflow.rs starts one), and against a
real `mlflow server` whoever wants to know whether a test is right:

    MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python -B -m pytest -p no:cacheprovider tests/clients/mlflow
"""

import os
import re
import uuid

import mlflow
import pytest
import requests
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# A server that answers what the client repeats must fail a test, not slow it down.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

URL = os.environ["MLFLOW_TRACKING_URI"]
TOKEN = os.environ.get("MLFLOW_TRACKING_TOKEN")


def pytest_configure(config):
    config.addinivalue_line("markers", "calls(*calls): the calls that the test makes; checked, and listed in docs/mlflow.md")
    config.addinivalue_line("markers", "bottega: what MLflow itself does otherwise")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("bottega") and not TOKEN:
            item.add_marker(pytest.mark.skip(reason="only Bottega does this"))


@pytest.fixture(autouse=True)
def declared_calls(request, monkeypatch):
    """A test that says it makes a call must make it, or the table in docs/mlflow.md would lie."""
    made = set()
    send = requests.Session.send

    def recorded(session, prepared, **options):
        path = re.sub(r"^/(api|ajax-api)/[23]\.0/(mlflow/)?", "", requests.utils.urlparse(prepared.url).path)
        made.add(f"{prepared.method} {path}")
        return send(session, prepared, **options)

    monkeypatch.setattr(requests.Session, "send", recorded)
    yield
    for marker in request.node.iter_markers("calls"):
        for call in marker.args:
            # A part in braces stands for one id or for a path.
            pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(call))
            assert any(re.fullmatch(pattern, one) for one in made), f"{call} was not called, but {sorted(made)}"


@pytest.fixture(autouse=True)
def no_leftovers():
    """No run or autologging that one test leaves behind shows in another."""
    yield
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def client():
    return mlflow.MlflowClient()


@pytest.fixture
def name():
    """A name that nothing else has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def experiment(name):
    """A new experiment, the active one."""
    return mlflow.set_experiment(f"experiment {name}").experiment_id


@pytest.fixture
def run(client, experiment):
    """A new run's id."""
    return client.create_run(experiment).info.run_id


@pytest.fixture
def raw():
    """HTTP without MLflow's client: method and path below the server, answers the response."""
    session = requests.Session()
    if TOKEN:
        session.headers["authorization"] = f"Bearer {TOKEN}"

    def call(method, path, **options):
        return session.request(method, URL + path, timeout=60, **options)

    return call


@pytest.fixture
def refused():
    """Calls, and answers the exception that MLflow's client raises; its error_code is as told."""

    def check(code, call, *arguments, **options):
        with pytest.raises(MlflowException) as raised:
            call(*arguments, **options)
        assert raised.value.error_code == code, raised.value
        assert str(raised.value)
        return raised.value

    return check


@pytest.fixture
def everything():
    return ViewType.ALL
