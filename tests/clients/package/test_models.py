"""Models are brought, put into service, moved and taken back; and what can go wrong."""

import http.server
import json
import shutil
import threading
import zipfile

import bottega
import numpy as np
import pytest
from conftest import MODELS, Case


def test_a_model_goes_from_a_file_to_an_answer_and_back(client):
    first = client.push(MODELS / "breast_cancer.onnx", "cancer", tags={"by": "package"}, description="the first")
    assert (str(first), first.status, first.servable, first.created) == ("cancer/1", "ready", "yes", True)
    # The same files are the same version, unless one insists.
    again = client.push(MODELS / "breast_cancer.onnx", "cancer")
    assert (again.version, again.created, again.digest) == (1, False, first.digest)
    second = client.push(MODELS / "breast_cancer.onnx", "cancer", force=True)
    assert (second.version, second.created) == (2, True)

    moved = client.promote("cancer", 1, "champion", reason="the only one")
    assert (moved.version, moved.revision, moved.followers) == (1, 1, ())
    release = client.deploy("cancer", "cancer@champion", reason="first")
    assert (release.state, release.follows) == ("completed", "cancer@champion")
    assert client.deploy("cancer", "cancer@champion") == release
    case = Case("breast_cancer")
    assert client.predict("cancer", case.inputs).version == 1

    moved = client.promote("cancer", 2, "champion")
    (follower,) = moved.followers
    assert (follower.endpoint, follower.release, follower.blocked) == ("cancer", 2, None)
    client.deploy("cancer", "cancer@champion")
    assert client.predict("cancer", case.inputs).version == 2
    back = client.rollback("cancer", reason="for the test")
    assert back.state == "completed"
    answer = client.predict("cancer", case.inputs)
    assert answer.version == 1
    case.check(answer)


def test_folders_and_archives_are_models_too(client, tmp_path):
    folder = tmp_path / "model"
    (folder / "notes").mkdir(parents=True)
    shutil.copy(MODELS / "digits.onnx", folder / "model.onnx")
    (folder / "notes" / "empty.txt").touch()
    version = client.push(folder, "folder")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for file in ["model.onnx", "notes/empty.txt"]:
            archive.write(folder / file, file)
    assert client.push(tmp_path / "model.zip", "folder").version == version.version
    (folder / "link").symlink_to("model.onnx")
    with pytest.raises(ValueError, match="link"):
        client.push(folder, "folder")
    with pytest.raises(FileNotFoundError, match="absent"):
        client.push(tmp_path / "absent", "folder")


def test_a_refusal_has_its_kind_field_hint_and_request(client, deployed):
    deployed("color_size.onnx")
    with pytest.raises(bottega.Invalid) as refused:
        client.push(MODELS / "digits.onnx", "no such/name")
    assert refused.value.code == "invalid" and refused.value.status == 400 and refused.value.request_id
    with pytest.raises(bottega.Conflict, match="rejected"):
        client.push(MODELS / "unknown_operator.onnx", "unknown")
    with pytest.raises(bottega.NotFound):
        client.deploy("nothing", "nothing/1")
    with pytest.raises(bottega.NotFound):
        client.rollback("nothing")
    with pytest.raises(bottega.Unauthenticated) as refused:
        bottega.Client(token="bt_wrong").predict("color-size", [{"color": "red", "size": 1.0}])
    assert refused.value.hint or "Authorization" in refused.value.message
    assert isinstance(refused.value, bottega.ApiError) and isinstance(refused.value, bottega.Error)


def test_a_promotion_that_a_rule_stands_against_tells_which(client, deployed):
    deployed("digits.onnx")
    rule = {"rule": "accuracy >= 0.9", "target": "gated"}
    client._server.api("POST", "/models/digits/rules", rule)
    with pytest.raises(bottega.GateRefused) as refused:
        client.promote("digits", 1, "gated")
    assert refused.value.status == 403 and "accuracy" in json.dumps(refused.value.details["rules"])
    assert client.promote("digits", 1, "gated", reason="for the test", override=True).version == 1


class Stub(http.server.BaseHTTPRequestHandler):
    """Answers what it is told to, one after the other."""

    answers: list = []
    seen: list = []

    def handle_one(self):
        length = int(self.headers.get("content-length", 0))
        Stub.seen.append((self.command, self.path, self.rfile.read(length)))
        status, headers, body = Stub.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = handle_one

    def log_message(self, *_):
        pass


@pytest.fixture
def stub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Stub.answers, Stub.seen = [], []
    yield bottega.Client(f"http://127.0.0.1:{server.server_address[1]}", "t")
    server.shutdown()
    thread.join()
    server.server_close()


BUSY = (503, {"retry-after": "0"}, b'{"error": "busy"}')
FULL = (429, {"retry-after": "0"}, b'{"error": {"code": "rate_limited", "message": "slowly", "request_id": "r"}}')


def test_what_may_be_sent_again_is_and_no_more_often_than_allowed(stub):
    metadata = (200, {}, b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]}')
    head = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}]}'
    answer = (200, {"inference-header-content-length": str(len(head))}, head + np.float32(7).tobytes())
    Stub.answers = [BUSY, metadata, FULL, BUSY, BUSY, answer]
    assert stub.predict("e", [[1, 2]])["y"].tolist() == [7.0]
    asked = [body for method, _, body in Stub.seen if method == "POST"]
    assert len(asked) == 4 and len(set(asked)) == 1

    Stub.answers = [BUSY] * 9
    with pytest.raises(bottega.Unavailable, match="busy"):
        stub.predict("e", [[1, 2]])
    assert len(Stub.answers) == 5
    # Making something is asked for once.
    Stub.answers, Stub.seen = [FULL] * 2, []
    with pytest.raises(bottega.RateLimited) as refused:
        stub.rollback("e")
    assert len(Stub.seen) == 1 and refused.value.request_id == "r"


def test_whoever_is_not_bottega_is_told_apart(stub):
    for body in [b"<html>", b"[]", b'{"detail": "x"}']:
        Stub.answers = [(404, {}, body)]
        with pytest.raises(bottega.NotBottega):
            stub.rollback("e")
    with pytest.raises(bottega.Unreachable):
        bottega.Client("http://127.0.0.1:9", "t", retries=0).rollback("e")
    Stub.answers = [(403, {"x-bottega-quota": "predictions_per_month"}, b'{"error": "spent"}')]
    with pytest.raises(bottega.QuotaExceeded, match="spent"):
        stub._server.send("POST", "/v2/models/e/infer", b"", may_repeat=True)


def test_a_login_is_read_and_its_token_goes_nowhere_else(login_only, monkeypatch):
    environment, file = login_only
    file.parent.mkdir(parents=True)
    file.write_text(f'url = "{environment["BOTTEGA_URL"]}"\ntoken = "{environment["BOTTEGA_TOKEN"]}"\n')
    assert bottega.Client()._server.api("GET", "/me")["actor"] == "user:admin"
    with pytest.raises(bottega.Unauthenticated):
        bottega.Client(environment["BOTTEGA_URL"].replace("127.0.0.1", "localhost"))._server.api("GET", "/me")
    file.write_text("url = 1")
    with pytest.raises(bottega.Error, match="bottega login"):
        bottega.Client()
    file.unlink()
    assert bottega.Client()._server.url == "http://127.0.0.1:8080"
    monkeypatch.setenv("BOTTEGA_URL", environment["BOTTEGA_URL"])
    assert bottega.Client()._server.url == environment["BOTTEGA_URL"]
