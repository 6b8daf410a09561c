"""Files of runs, by the proxy."""

import os
import pathlib
import socket
import urllib.parse

import mlflow
import pytest

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def folder(client, run):
    """The run's folder as the proxy knows it."""
    return urllib.parse.urlparse(client.get_run(run).info.artifact_uri).path.strip("/")


@pytest.mark.calls("PUT mlflow-artifacts/artifacts/{path}", "GET mlflow-artifacts/artifacts",
                   "GET mlflow-artifacts/artifacts/{path}")
def test_files_go_up_are_listed_and_come_back(client, run, tmp_path):
    (tmp_path / "plain.txt").write_text("hello")
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "ü + 1.bin").write_bytes(bytes(range(256)))
    client.log_artifact(run, tmp_path / "plain.txt")
    client.log_artifacts(run, tmp_path / "in", "sub")
    client.log_dict(run, {"a": 1}, "sub/d.json")

    def listed(path=None):
        return [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run, path)]

    assert listed() == [("plain.txt", False, 5), ("sub", True, None)]
    assert [(p, d) for p, d, _ in listed("sub")] == [("sub/d.json", False), ("sub/deep", True)]
    assert listed("plain.txt") == [] and listed("nothing") == []
    got = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="", dst_path=tmp_path / "back")
    assert open(f"{got}/sub/deep/ü + 1.bin", "rb").read() == bytes(range(256))
    assert open(f"{got}/plain.txt").read() == "hello"
    assert mlflow.artifacts.load_dict(f"runs:/{run}/sub/d.json") == {"a": 1}


def test_a_file_is_read_by_its_proxy_address(client, run):
    client.log_text(run, "by address", "a.txt")
    uri = client.get_run(run).info.artifact_uri
    assert mlflow.artifacts.load_text(f"{uri}/a.txt") == "by address"


def test_a_file_is_replaced(client, run):
    client.log_text(run, "old", "a.txt")
    client.log_text(run, "new!", "a.txt")
    assert [f.file_size for f in client.list_artifacts(run)] == [4]
    assert mlflow.artifacts.load_text(f"runs:/{run}/a.txt") == "new!"


@pytest.mark.calls("GET artifacts/list")
def test_the_tracking_server_lists_too(raw, client, run):
    client.log_text(run, "x", "sub/a.txt")
    answer = raw("GET", "/api/2.0/mlflow/artifacts/list", params={"run_id": run, "path": "sub"}).json()
    assert answer["root_uri"] == client.get_run(run).info.artifact_uri
    [file] = answer["files"]
    assert file["path"] == "sub/a.txt" and not file.get("is_dir") and int(file["file_size"]) == 1


def test_a_folder_may_be_named_from_where_one_is(client, run, tmp_path):
    client.log_text(run, "one", "a/one.txt")
    for path in (".", "./a", "a"):
        folder = mlflow.artifacts.download_artifacts(run_id=run, artifact_path=path, dst_path=tmp_path)
        assert [file.read_text() for file in pathlib.Path(folder).rglob("*.txt")] == ["one"], path


@pytest.mark.calls("DELETE mlflow-artifacts/artifacts/{path}")
def test_files_are_deleted(raw, client, run, folder):
    client.log_text(run, "x", "sub/a.txt")
    client.log_text(run, "x", "b.txt")
    assert raw("DELETE", f"{PROXY}/{folder}/sub/a.txt").status_code == 200
    assert [f.path for f in client.list_artifacts(run) if not f.is_dir] == ["b.txt"]
    assert raw("GET", f"{PROXY}/{folder}/sub/a.txt").status_code == 404


def test_what_is_not_there_is_404(raw, folder):
    answer = raw("GET", f"{PROXY}/{folder}/never.txt")
    assert answer.status_code == 404, answer.text


# To MLflow on Linux a backslash is a letter, and a second slash an internal error.
OURS = [pytest.param(path, marks=pytest.mark.bottega) for path in ("..%5csecret", "%2e%2e%5csecret", "%2fetc/passwd")]


@pytest.mark.parametrize("path", [
    "../secret", "%2e%2e/secret", "%252e%252e/secret", "a/../../secret", "a/%2e%2e/%2e%2e/secret", "..%2fsecret", *OURS,
])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_path_leads_out(method, path, folder):
    """Trap h. By a socket, for no client sends these as they are."""
    url = urllib.parse.urlparse(os.environ["MLFLOW_TRACKING_URI"])
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            f"{method} {PROXY}/{folder}/{path} HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer {token}\r\n"
            f"content-length: 1\r\nconnection: close\r\n\r\nx".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400"), answer
    assert "INVALID_PARAMETER_VALUE" in answer


@pytest.mark.parametrize("path", ["../x", "%2e%2e/x", "%252e%252e/x"])
def test_no_listing_leads_out(raw, run, folder, path):
    """Trap h."""
    for answer in [
        raw("GET", f"{PROXY}?path={folder}/{path}"),
        raw("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}"),
    ]:
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


def test_an_upload_cut_in_the_middle_is_not_seen(client, run, folder):
    url = urllib.parse.urlparse(os.environ["MLFLOW_TRACKING_URI"])
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    with socket.create_connection((url.hostname, url.port), timeout=30) as connection:
        connection.sendall(
            f"PUT {PROXY}/{folder}/cut.bin HTTP/1.1\r\nhost: {url.netloc}\r\nauthorization: Bearer {token}\r\n"
            f"content-length: 1000000\r\n\r\n".encode() + b"x" * 500_000)
    client.log_text(run, "x", "whole.txt")
    assert [f.path for f in client.list_artifacts(run)] == ["whole.txt"]


@pytest.mark.bottega
def test_part_of_a_file_and_what_has_not_changed(raw, client, run, folder):
    client.log_text(run, "0123456789", "a.txt")
    url = f"{PROXY}/{folder}/a.txt"
    part = raw("GET", url, headers={"range": "bytes=2-4"})
    assert part.status_code == 206 and part.text == "234" and part.headers["content-range"] == "bytes 2-4/10"
    tag = raw("GET", url).headers["etag"]
    assert raw("GET", url, headers={"if-none-match": tag}).status_code == 304


def test_an_empty_file(client, run):
    client.log_text(run, "", "empty.txt")
    assert [(f.path, f.is_dir, f.file_size or 0) for f in client.list_artifacts(run)] == [("empty.txt", False, 0)]
    assert mlflow.artifacts.load_text(f"runs:/{run}/empty.txt") == ""


def test_a_large_file_goes_and_comes(client, run, tmp_path):
    content = os.urandom(1 << 20) * 40
    (tmp_path / "large.bin").write_bytes(content)
    client.log_artifact(run, tmp_path / "large.bin")
    got = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="large.bin", dst_path=tmp_path / "back")
    assert open(got, "rb").read() == content


@pytest.mark.bottega
@pytest.mark.calls("HEAD mlflow-artifacts/artifacts/{path}")
def test_what_a_file_is_can_be_asked_without_its_bytes(raw, client, run):
    client.log_text(run, "twelve bytes", "a.txt")
    path = client.get_run(run).info.artifact_uri.split(":/", 1)[1]
    answer = raw("HEAD", f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt")
    assert answer.status_code == 200 and answer.headers["content-length"] == "12" and answer.content == b""
