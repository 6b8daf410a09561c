"""Which version answers whom, asked over REST and over gRPC: `routing.py header|input|labels`.

`fraud` serves version 1 (answers what it is asked), 2 (twice that, after counting to it; fails at -2 and
less) and 3 (as 1)."""

import sys

import numpy as np
import requests
import tritonclient.grpc as grpc

import cases


def rest(x, path="/v2/models/fraud/infer", **headers):
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [x, 0.0]}
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(cases.URL + path, json={"inputs": [tensor]}, headers=cases.HEADERS | headers, timeout=30)


def answered(answer):
    assert answer.status_code == 200, answer.text
    version = answer.headers["x-bottega-model-version"]
    assert answer.json()["model_version"] == version
    return version


def over_grpc(client, x, **headers):
    tensor = grpc.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.array([[x, 0.0]], np.float32))
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.infer("fraud", [tensor], headers=cases.HEADERS | headers).get_response().model_version


def header():
    client = grpc.InferenceServerClient(cases.GRPC)
    versions = {}
    for user in map(str, range(20)):
        versions[user] = answered(rest(0.5, x_user=user))
        assert answered(rest(1.5, x_user=user)) == versions[user]
        assert over_grpc(client, 0.5, x_user=user) == versions[user]
    assert set(versions.values()) == {"1", "2"}, versions
    assert answered(rest(0.5, x_beta="yes", x_user="1")) == "3"
    assert over_grpc(client, 0.5, x_beta="yes") == "3"
    assert answered(rest(0.5, "/v2/models/fraud/versions/2/infer", x_beta="yes")) == "2"

    # Version 2 fails for its users, and 1 answers for it.
    failing = next(user for user, version in versions.items() if version == "2")
    answer = rest(-3.0, x_user=failing)
    assert answered(answer) == "1"
    assert answer.json()["outputs"][0]["data"] == [-3.0, 0.0]
    assert over_grpc(client, -3.0, x_user=failing) == "1"
    assert rest(-3.0, "/v2/models/fraud/versions/2/infer").status_code == 400
    late = rest(1e12, "/v2/models/fraud/versions/2/infer")
    assert late.status_code == 504, late.text


def by_input():
    client = grpc.InferenceServerClient(cases.GRPC)
    versions = {}
    for key in map(float, range(20)):
        versions[key] = answered(rest(key))
        assert answered(rest(key, x_user="ana")) == versions[key]
        assert over_grpc(client, key) == versions[key]
        url = f"{cases.URL}/v1/models/fraud:predict"
        answer = requests.post(url, json={"instances": [[key, 0.0], [7.0, 7.0]]}, headers=cases.HEADERS, timeout=30)
        assert answer.headers["x-bottega-model-version"] == versions[key], answer.text
    assert set(versions.values()) == {"1", "2"}, versions


def labels():
    for label, version in [("champion", "1"), ("challenger", "2")]:
        url = f"{cases.URL}/v1/models/fraud/labels/{label}"
        answer = requests.post(f"{url}:predict", json={"instances": [[1.0, 0.0]]}, headers=cases.HEADERS, timeout=30)
        assert answer.headers["x-bottega-model-version"] == version, answer.text
        status = requests.get(url, headers=cases.HEADERS, timeout=30).json()["model_version_status"]
        assert [it["version"] for it in status] == [version], status
    url = f"{cases.URL}/v1/models/fraud/labels/retired:predict"
    answer = requests.post(url, json={"instances": [[1.0, 0.0]]}, headers=cases.HEADERS, timeout=30)
    assert answer.status_code == 404 and "version `4`" in answer.json()["error"], answer.text


{"header": header, "input": by_input, "labels": labels}[sys.argv[1]]()
