"""A script that calls TensorFlow Serving's REST, as its documentation does it."""

import base64

import numpy as np
import requests

import cases


def call(method, path, **options):
    return requests.request(method, f"{cases.URL}/v1/models/{path}", headers=cases.HEADERS, timeout=30, **options)


def predict(endpoint, body):
    answer = call("POST", f"{endpoint}:predict", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-bottega-model-version"] == "1"
    return answer.json()


def close(got, wanted, what):
    got = np.array(got)
    assert got.shape == wanted.shape, f"{what}: {got.shape}"
    same = np.abs(got - wanted).max() <= 1e-5 if wanted.dtype == np.float32 else (got == wanted).all()
    assert same, f"{what}: {got}"


def plain(array):
    return [value.decode() if isinstance(value, bytes) else value for value in array.reshape(-1).tolist()]


def rows_and_columns(model):
    endpoint, arrays, wanted = model.replace("_", "-"), cases.inputs(model), cases.expected(model)
    columns = {name: np.array(plain(array), object).reshape(array.shape).tolist() for name, array in arrays.items()}
    count = len(next(iter(columns.values())))
    rows = [{name: column[at] for name, column in columns.items()} for at in range(count)]
    bodies = [{"instances": rows}, {"inputs": columns, "signature_name": "serving_default"}]
    if len(arrays) == 1:
        only = next(iter(columns.values()))
        bodies += [{"instances": only}, {"inputs": only}]
    for body in bodies:
        answer = predict(endpoint, body)
        if "instances" in body:
            got = {name: [row[name] for row in answer["predictions"]] for name in wanted}
        else:
            got = answer["outputs"]
        assert got.keys() == wanted.keys(), got.keys()
        for name, array in wanted.items():
            close(got[name], array, f"{model} {name}")


def bytes_in_base64():
    text = {"b64": base64.b64encode(b"red").decode()}
    arrays = cases.inputs("color_size")
    texts = next(name for name, array in arrays.items() if array.dtype == np.object_)
    first = {name: plain(array[:1])[0] for name, array in arrays.items()}
    named = predict("color-size", {"instances": [first | {texts: "red"}]})
    assert predict("color-size", {"instances": [first | {texts: text}]}) == named


def classes_of_examples():
    arrays, wanted = cases.inputs("color_size"), cases.expected("color_size")["probabilities"]
    colors, sizes = plain(arrays["color"]), plain(arrays["size"])
    examples = [{"color": color, "size": size} for color, size in zip(colors, sizes)]
    common = {"context": {"color": colors[0]}, "examples": [{"size": sizes[0]}, *examples[1:]]}
    for path, body in [("color-size:classify", {"examples": examples}), ("color-size/versions/1:classify", common)]:
        answer = call("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert all([label for label, _ in pairs] == ["0", "1"] for pairs in results), results
        close([[score for _, score in pairs] for pairs in results], wanted, path)
    (tensor,) = cases.inputs("breast_cancer").values()
    answer = call("POST", "breast-cancer:classify", json={"examples": [{"features": row} for row in tensor.tolist()]})
    scores = [[score for _, score in pairs] for pairs in answer.json()["results"]]
    close(scores, cases.expected("breast_cancer")["probabilities"], "breast-cancer:classify")


def what_there_is():
    status = call("GET", "breast-cancer").json()["model_version_status"]
    assert [(it["version"], it["state"], it["status"]["error_code"]) for it in status] == [("1", "AVAILABLE", "OK")]
    assert call("GET", "breast-cancer/versions/1").json()["model_version_status"] == status
    metadata = call("GET", "breast-cancer/metadata").json()
    assert metadata["model_spec"]["name"] == "breast-cancer" and metadata["model_spec"]["version"] == "1"
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    (tensor,) = signature["inputs"].values()
    assert tensor["dtype"] == "DT_FLOAT" and [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == ["-1", "30"], tensor


def refusals():
    for method, path, body, status, words in [
        ("GET", "nobody", None, 404, "nobody"),
        ("GET", "breast-cancer/versions/9", None, 404, "9"),
        ("POST", "nobody:predict", {"instances": [1]}, 404, "nobody"),
        ("POST", "breast-cancer/versions/9:predict", {"instances": [1]}, 404, "9"),
        ("POST", "breast-cancer:predict", {"instances": [[1, 2]]}, 400, "[1, 2]"),
        ("POST", "breast-cancer:predict", {"instances": [[1], [1, 2]]}, 400, "differ in length"),
        ("POST", "breast-cancer:predict", {"instances": [], "x": 1}, 400, "x"),
        ("POST", "breast-cancer:classify", {"examples": [{}]}, 400, "features"),
        ("POST", "breast-cancer:classify", {"instances": [[1]]}, 400, "instances"),
        ("POST", "color-size:classify", {"examples": [{"color": "red"}]}, 400, "size"),
        ("POST", "color-size:regress", {"examples": [{"color": "red", "size": 1.0}]}, 400, "values for each example"),
        ("POST", "breast-cancer/labels/nobody:predict", {"instances": [1]}, 404, "nobody"),
        ("GET", "breast-cancer/labels/nobody", None, 404, "nobody"),
        ("POST", "breast-cancer/labels/nobody:classify", {"examples": [{}]}, 404, "nobody"),
    ]:
        answer = call(method, path, json=body)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        assert words in answer.json()["error"], answer.text
    answer = requests.post(f"{cases.URL}/v1/models/breast-cancer:predict", json={"instances": [1]}, timeout=30)
    assert answer.status_code == 401 and isinstance(answer.json()["error"], str), answer.text


rows_and_columns("breast_cancer")
rows_and_columns("color_size")
bytes_in_base64()
classes_of_examples()
classes_of_examples()
what_there_is()
refusals()
