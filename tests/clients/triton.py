"""NVIDIA's tritonclient, as it comes from PyPI, over HTTP and over gRPC."""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http

import cases

DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.object_): "BYTES"}


def http(client, endpoint, arrays, outputs):
    sent = []
    for name, array in arrays.items():
        tensor = tritonclient.http.InferInput(name, array.shape, DATATYPES[array.dtype])
        tensor.set_data_from_numpy(array, binary_data=False)
        sent.append(tensor)
    asked = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in outputs]
    return client.infer(endpoint, sent, outputs=asked, request_id="mine", headers=cases.HEADERS)


def grpc(client, endpoint, arrays, outputs):
    sent = []
    for name, array in arrays.items():
        tensor = tritonclient.grpc.InferInput(name, list(array.shape), DATATYPES[array.dtype])
        tensor.set_data_from_numpy(array)
        sent.append(tensor)
    asked = [tritonclient.grpc.InferRequestedOutput(name) for name in outputs]
    return client.infer(endpoint, sent, outputs=asked, request_id="mine", headers=cases.HEADERS)


def main(kind):
    if kind == "http":
        client, infer = tritonclient.http.InferenceServerClient(cases.HOST), http
        ask = dict(headers=cases.HEADERS)
    else:
        client, infer = tritonclient.grpc.InferenceServerClient(cases.GRPC), grpc
        ask = dict(headers=cases.HEADERS, as_json=True)
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata(**ask)["name"] == "bottega"
    for model in ["breast_cancer", "color_size"]:
        endpoint = model.replace("_", "-")
        assert client.is_model_ready(endpoint, headers=cases.HEADERS)
        metadata = client.get_model_metadata(endpoint, **ask)
        assert metadata["name"] == endpoint and metadata["versions"] == ["1"], metadata
        assert metadata["platform"] == "onnxruntime_onnx", metadata
        arrays, wanted = cases.inputs(model), cases.expected(model)
        # gRPC as JSON writes whole numbers as strings.
        told = {t["name"]: (t["datatype"], [int(size) for size in t["shape"]]) for t in metadata["inputs"]}
        assert told == {n: (DATATYPES[a.dtype], [-1, *a.shape[1:]]) for n, a in arrays.items()}, told
        answer = infer(client, endpoint, arrays, wanted)
        got = {name: answer.as_numpy(name) for name in wanted}
        cases.check(got, wanted, f"{model} by {kind}")
        response = answer.get_response() if kind == "http" else answer.get_response(as_json=True)
        assert response["id"] == "mine" and response["model_version"] == "1", response
        # Some outputs only.
        only = infer(client, endpoint, arrays, ["label"])
        assert only.as_numpy("probabilities") is None

    rows = {"features": np.zeros((1, 30), np.float32)}
    wrong = {"features": np.zeros((1, 29), np.float32)}
    cases.refused(lambda: infer(client, "breast-cancer", wrong, ["label"]), "[1, 29]", "[?, 30]")
    cases.refused(lambda: infer(client, "breast-cancer", rows, ["nothing"]), "no output `nothing`")
    cases.refused(lambda: infer(client, "nothing", rows, ["label"]), "no endpoint `nothing`")
    cases.refused(lambda: client.get_model_metadata("breast-cancer"), "needs a token")
    if kind == "http":
        assert not client.is_model_ready("nothing", headers=cases.HEADERS)
    else:
        cases.refused(lambda: client.is_model_ready("nothing", headers=cases.HEADERS), "NOT_FOUND")


main(sys.argv[1])
