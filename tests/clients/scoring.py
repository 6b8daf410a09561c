"""MLflow's scoring: the bodies that MLflow's own server takes, against that server in this process."""

import asyncio
import io
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
PARQUET = "application/vnd.apache.parquet"


class Theirs:
    """MLflow's server of a model, called past the network."""

    def __init__(self, model, only=None):
        loaded = onnx.load(cases.DATA / f"{model}.onnx")
        if only:
            outputs = [output for output in loaded.graph.output if output.name == only]
            del loaded.graph.output[:]
            loaded.graph.output.extend(outputs)
        with tempfile.TemporaryDirectory() as folder:
            mlflow.onnx.save_model(loaded, f"{folder}/model", pip_requirements=[])
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


def parquet(frame, **options):
    file = io.BytesIO()
    frame.rename(columns=str).to_parquet(file, **options)
    return file.getvalue()


def parquet_is_answered(model, by_theirs):
    """By any writer's settings; and as MLflow's server answers it, which makes a table of outputs only where each
    has one column, and takes no texts that pandas 3 read."""
    endpoint, theirs, wanted = model.replace("_", "-"), Theirs(model, only="label"), cases.expected(model)
    arrays = {name: values(array) for name, array in cases.inputs(model).items()}
    if len(arrays) == 1:
        # A column for each feature, and one whose cells are all features.
        wide = pd.DataFrame(next(iter(arrays.values())))
        frames = [wide, pd.DataFrame({name: list(array) for name, array in arrays.items()})]
    else:
        wide = pd.DataFrame({name: np.array(array, object).reshape(-1) for name, array in arrays.items()})
        frames = [wide.infer_objects(), wide.infer_objects().set_index(pd.Index(range(5, 5 + len(wide)), name="row"))]
    agreed = 0
    for frame in frames:
        for options in [{}, {"compression": None}, {"compression": "gzip"}, {"compression": "zstd"}, {"compression": "lz4"},
                        {"use_dictionary": False}, {"data_page_version": "2.0"}, {"row_group_size": 2}]:
            body = parquet(frame, **options)
            status, text = ours(endpoint, PARQUET, body)
            assert status == 200, f"{options}: {text}"
            got = json.loads(text)["predictions"]
            for name, array in wanted.items():
                rows = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in array.tolist()]
                same(rows, [row[name] for row in got], f"{options} {name}")
            status, text = theirs.post(PARQUET, body)
            if status == 200:
                agreed += 1
                same(json.loads(text)["predictions"], [{"label": row["label"]} for row in got], str(options))
    assert agreed >= by_theirs, f"MLflow's server answered {agreed} of them: {text}"


def parquet_of_columns():
    """What pandas has no number for is NaN; a whole number is good for a float; texts are texts."""
    frame = pd.DataFrame({"color": ["red", "blue"], "size": pd.array([3, None], dtype="Int64")})
    status, text = ours("color-size", PARQUET, parquet(frame))
    assert status == 200, text
    status, same_in_json = ours("color-size", JSON, json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split"))}))
    assert status == 200 and json.loads(text) == json.loads(same_in_json), (text, same_in_json)


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
        ("text/plain", "x"), ("application/x-parquet", "x"), ("", "{}"), (PARQUET, "x"), (PARQUET, ""),
        (PARQUET, "PAR1PAR1"), (f"{JSON}; charset=latin-1", "{}"), (f"{JSON}; version=1", "{}"), ("text/csv;", "a"),
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
parquet_is_answered("breast_cancer", by_theirs=8)
parquet_is_answered("color_size", by_theirs=0)
parquet_of_columns()
refusals()
other_paths()
