"""MLflow's scoring: the bodies that MLflow's own server takes, against that server in this process."""

import asyncio
import json
import math
import tempfile

import mlflow
import numpy as np
import onnx
import pandas as pd
import requests
from mlflow.pyfunc import scoring_server

import cases

JSON = "application/json"


class Theirs:
    """MLflow's server of a model, called past the network."""

    def __init__(self, model):
        with tempfile.TemporaryDirectory() as folder:
            mlflow.onnx.save_model(onnx.load(cases.DATA / f"{model}.onnx"), f"{folder}/model", pip_requirements=[])
            self.app = scoring_server.init(mlflow.pyfunc.load_model(f"{folder}/model"))

    def post(self, content_type, body):
        return asyncio.run(self.call(content_type, body))

    async def call(self, content_type, body):
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/invocations", "raw_path": b"/invocations", "query_string": b"", "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def ours(endpoint, content_type, body):
    url = f"{cases.URL}/serve/{endpoint}/invocations"
    answer = requests.post(url, data=body, headers={"content-type": content_type, **cases.HEADERS}, timeout=30)
    return answer.status_code, answer.text


def same(a, b, at="predictions"):
    """The same form, and numbers to 1e-5."""
    if isinstance(a, float) or isinstance(b, float):
        assert math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-5), f"{at}: {a} {b}"
    elif isinstance(a, dict) and isinstance(b, dict):
        assert list(a) == list(b), f"{at}: {list(a)} {list(b)}"
        for name in a:
            same(a[name], b[name], f"{at}.{name}")
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b), f"{at}: {len(a)} {len(b)}"
        for index, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{at}[{index}]")
    else:
        assert a == b, f"{at}: {a!r} {b!r}"


def values(array):
    texts = [value.decode() if isinstance(value, bytes) else value for value in array.reshape(-1).tolist()]
    return np.array(texts, object).reshape(array.shape).tolist()


def all_bodies(model):
    arrays = {name: values(array) for name, array in cases.inputs(model).items()}
    count = len(next(iter(arrays.values())))
    rows = [{name: array[at] for name, array in arrays.items()} for at in range(count)]
    tensors = [{"inputs": arrays}, {"instances": rows}]
    if len(arrays) == 1:
        only = next(iter(arrays.values()))
        tensors += [{"inputs": only}, {"instances": only}]
        frame = pd.DataFrame(only)
    else:
        frame = pd.DataFrame({name: np.array(array, object).reshape(-1) for name, array in arrays.items()})
    frames = [
        (JSON, json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split"))})),
        (JSON, json.dumps({"dataframe_records": json.loads(frame.to_json(orient="records"))})),
        ("text/csv", frame.to_csv(index=False)),
        ("text/csv; charset=utf-8", frame.to_csv(index=False)),
    ]
    return [(JSON, json.dumps(body)) for body in tensors], frames


def answers(model):
    endpoint, theirs, wanted = model.replace("_", "-"), Theirs(model), cases.expected(model)
    tensors, frames = all_bodies(model)
    agreed = 0
    for content_type, body in tensors:
        status, text = ours(endpoint, content_type, body)
        assert status == 200, text
        got = json.loads(text)["predictions"]
        same({name: array.tolist() for name, array in wanted.items()}, got)
        status, text = theirs.post(content_type, body.encode())
        if status == 200:
            same(json.loads(text)["predictions"], got)
            agreed += 1
    assert agreed, "MLflow's server answered none of them"
    for content_type, body in frames:
        status, text = ours(endpoint, content_type, body)
        assert status == 200, text
        got = json.loads(text)["predictions"]
        # MLflow makes a table of outputs of one column only; of others a row is a list here.
        for name, array in wanted.items():
            rows = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in array.tolist()]
            same(rows, [row[name] for row in got], name)


def refusals():
    theirs = Theirs("breast_cancer")
    for content_type, body in [
        (JSON, "{"), (JSON, "[]"), (JSON, "{}"), (JSON, '{"inputs": [[1]], "instances": [[1]]}'),
        (JSON, '{"dataframe_split": 1}'), (JSON, '{"inputs": [["x"]]}'), (JSON, '{"inputs": [[1, 2]]}'),
        (JSON, '{"instances": [[1], [1, 2]]}'), (JSON, '{"columns": ["a"], "data": [[1]]}'),
        ("text/plain", "x"), ("application/x-parquet", "x"), ("", "{}"),
    ]:
        status, text = ours("breast-cancer", content_type, body)
        expected, their_text = theirs.post(content_type, body.encode())
        assert status == expected, f"{content_type} {body}: {status} {text}, MLflow: {expected} {their_text}"
        if status == 400:
            assert json.loads(text)["error_code"] == json.loads(their_text)["error_code"] == "BAD_REQUEST", their_text
            assert json.loads(text)["message"]


def other_paths():
    def get(path, **options):
        return requests.get(f"{cases.URL}/serve/{path}", timeout=30, **{"headers": cases.HEADERS, **options})

    for path in ["ping", "health"]:
        answer = get(f"breast-cancer/{path}")
        assert (answer.status_code, answer.text) == (200, "\n"), answer.text
        assert get(f"nobody/{path}").status_code == 404
    assert get("breast-cancer/version").text == mlflow.__version__
    answer = get("breast-cancer/ping", headers={})
    assert answer.status_code == 401 and answer.json()["error_code"] == "UNAUTHENTICATED", answer.text
    answer = ours("nobody", JSON, "{}")
    assert answer[0] == 404 and json.loads(answer[1])["error_code"] == "RESOURCE_DOES_NOT_EXIST", answer


answers("breast_cancer")
answers("color_size")
refusals()
other_paths()
