"""Large files past the server, where artifacts lie on S3: in parts, and by signed addresses."""

import os

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

# `mlflow server` needs an S3 and its own client of it for this.
pytestmark = pytest.mark.bottega
PART = 5 << 20


@pytest.fixture(autouse=True)
def parts(monkeypatch):
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(PART))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(PART))
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(PART))


@pytest.fixture
def large(tmp_path):
    """A file of two whole parts and a bit."""
    path = tmp_path / "grö ße.bin"
    path.write_bytes(os.urandom(2 * PART + 1))
    return path


@pytest.fixture
def sent(monkeypatch):
    """Method and host of every request."""
    made, send = [], requests.Session.send

    def recorded(session, prepared, **options):
        made.append((prepared.method, requests.utils.urlparse(prepared.url).netloc))
        return send(session, prepared, **options)

    monkeypatch.setattr(requests.Session, "send", recorded)
    return made


def elsewhere(sent, method):
    server = requests.utils.urlparse(os.environ["MLFLOW_TRACKING_URI"]).netloc
    return len([host for how, host in sent if how == method and host != server])


@pytest.mark.calls("POST mlflow-artifacts/mpu/create/{path}", "POST mlflow-artifacts/mpu/complete/{path}",
                   "GET mlflow-artifacts/presigned/{path}")
def test_a_large_file_goes_in_parts_and_comes_by_an_address(client, run, large, sent, tmp_path):
    client.log_artifact(run, str(large), "sub")
    assert elsewhere(sent, "PUT") == 3
    assert [(f.path, f.file_size) for f in client.list_artifacts(run, "sub")] == [(f"sub/{large.name}", 2 * PART + 1)]
    got = mlflow.artifacts.download_artifacts(run_id=run, artifact_path=f"sub/{large.name}", dst_path=tmp_path / "back")
    assert elsewhere(sent, "GET") == 3
    assert open(got, "rb").read() == large.read_bytes()


def test_the_ways_past_the_server_may_be_left_out(client, run, large, sent, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    client.log_artifact(run, str(large))
    got = mlflow.artifacts.download_artifacts(run_id=run, artifact_path=large.name, dst_path=tmp_path / "back")
    assert open(got, "rb").read() == large.read_bytes()
    assert elsewhere(sent, "PUT") == elsewhere(sent, "GET") == 0


@pytest.mark.calls("POST mlflow-artifacts/mpu/abort/{path}")
def test_a_part_that_fails_gives_the_upload_up(client, run, large, monkeypatch):
    upload = HttpArtifactRepository._upload_part

    def fails(credential, *arguments, **options):
        if credential.part_number == 2:
            raise OSError("the line is cut")
        return upload(credential, *arguments, **options)

    monkeypatch.setattr(HttpArtifactRepository, "_upload_part", staticmethod(fails))
    with pytest.raises(MlflowException, match="the line is cut"):
        client.log_artifact(run, str(large))
    assert client.list_artifacts(run) == []


def test_an_empty_file_and_a_small_one_come_by_addresses(client, run, tmp_path):
    client.log_text(run, "", "empty.txt")
    client.log_text(run, "hello", "small.txt")
    got = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="", dst_path=tmp_path / "back")
    assert open(f"{got}/empty.txt").read() == "" and open(f"{got}/small.txt").read() == "hello"


def test_a_registered_model_comes_by_addresses(client, run, large, name, sent, tmp_path):
    client.log_artifact(run, str(large), "model")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run}/model", run)
    before = elsewhere(sent, "GET")
    got = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/1", dst_path=tmp_path / "back")
    assert open(f"{got}/{large.name}", "rb").read() == large.read_bytes()
    assert elsewhere(sent, "GET") == before + 3
