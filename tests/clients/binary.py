"""tritonclient.http as it is used by default: tensors in binary, both ways, and packed bodies."""

import asyncio

import numpy as np
import requests
import tritonclient.http
import tritonclient.http.aio

import cases

DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.object_): "BYTES"}
PACKED = [None, "gzip", "deflate"]


def tensors(arrays, binary):
    """`binary` tells which inputs are sent so."""
    sent = []
    for name, array in arrays.items():
        tensor = tritonclient.http.InferInput(name, array.shape, DATATYPES[array.dtype])
        sent.append(tensor.set_data_from_numpy(array, binary_data=binary(name)))
    return sent


def outputs(names, binary):
    return [tritonclient.http.InferRequestedOutput(name, binary_data=binary) for name in names]


def got(answer, wanted):
    return {name: answer.as_numpy(name) for name in wanted}


def by_sync(client):
    for model in ["breast_cancer", "color_size"]:
        endpoint, arrays, wanted = model.replace("_", "-"), cases.inputs(model), cases.expected(model)
        first = next(iter(arrays))
        for sent, binary in [("all", lambda _: True), ("some", lambda name: name == first), ("none", lambda _: False)]:
            # No outputs named: the client asks for all of them in binary, whatever it sends.
            for asked in [None, outputs(wanted, True), outputs(wanted, False)]:
                answer = client.infer(endpoint, tensors(arrays, binary), outputs=asked, headers=dict(cases.HEADERS))
                cases.check(got(answer, wanted), wanted, f"{model}, {sent} in binary, {asked}")
        for to in PACKED:
            for back in PACKED:
                answer = client.infer(
                    endpoint,
                    tensors(arrays, lambda _: True),
                    headers=dict(cases.HEADERS),
                    request_compression_algorithm=to,
                    response_compression_algorithm=back,
                )
                cases.check(got(answer, wanted), wanted, f"{model}, {to} there and {back} back")
        sent = client.async_infer(endpoint, tensors(arrays, lambda _: True), headers=dict(cases.HEADERS))
        cases.check(got(sent.get_result(), wanted), wanted, f"{model}, later")


def every_datatype(client):
    """What goes into a model that changes nothing comes out of it, to the bit."""
    rows = {
        "bool": np.array([[True, False]]),
        "uint8": np.array([[0, 255]], np.uint8),
        "int64": np.array([[-(2**63), 2**63 - 1]], np.int64),
        "fp16": np.array([[0.5, np.inf]], np.float16),
        "fp32": np.array([[np.nan, -np.inf]], np.float32),
        "bytes": np.array([["é".encode(), b""]], np.object_),
    }
    for name, array in rows.items():
        tensor = tritonclient.http.InferInput("x", array.shape, name.upper()).set_data_from_numpy(array)
        answer = client.infer(name, [tensor], headers=dict(cases.HEADERS)).as_numpy("y")
        assert answer.dtype == array.dtype and answer.shape == array.shape, f"{name}: {answer!r}"
        assert answer.tolist() == array.tolist() or answer.tobytes() == array.tobytes(), f"{name}: {answer!r}"


async def by_aio():
    async with tritonclient.http.aio.InferenceServerClient(cases.HOST) as client:
        wanted = cases.expected("breast_cancer")
        sent = tensors(cases.inputs("breast_cancer"), lambda _: True)
        asked = [client.infer("breast-cancer", sent, headers=dict(cases.HEADERS)) for _ in range(8)]
        for answer in await asyncio.gather(*asked):
            cases.check(got(answer, wanted), wanted, "aio")
        packed = {"request_compression_algorithm": "gzip", "response_compression_algorithm": "gzip"}
        answer = await client.infer("breast-cancer", sent, headers=dict(cases.HEADERS), **packed)
        cases.check(got(answer, wanted), wanted, "aio, packed")


def by_itself():
    """The body is the model's one input, and nothing else."""
    array, wanted = cases.inputs("breast_cancer")["features"], cases.expected("breast_cancer")
    headers = {"Inference-Header-Content-Length": "0", **cases.HEADERS}
    url = f"{cases.URL}/v2/models/breast-cancer/infer"
    answer = requests.post(url, data=array.tobytes(), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    parse = tritonclient.http.InferenceServerClient.parse_response_body
    result = parse(answer.content, header_length=length)
    cases.check(got(result, wanted), wanted, "a bare tensor")


def refusals(client):
    wrong = np.zeros((1, 29), np.float32)
    ask = lambda **more: client.infer("breast-cancer", tensors({"features": wrong}, lambda _: True), headers=dict(cases.HEADERS), **more)
    cases.refused(ask, "[1, 29]", "[?, 30]", "a request that fits: {")
    right = tensors({"features": np.zeros((1, 30), np.float32)}, lambda _: True)
    ask = lambda **more: client.infer("breast-cancer", right, headers=dict(cases.HEADERS), **more)
    assert ask(timeout=30_000_000).as_numpy("label") is not None
    cases.refused(lambda: ask(timeout=1), "504", "in time")
    cases.refused(lambda: ask(sequence_id=3, sequence_start=True), "sequence_", "send the whole sequence")
    cases.refused(lambda: ask(priority=4), "priority", "the highest")
    cases.refused(lambda: ask(parameters={"mine": "1"}), "parameters.mine", "leave it out")
    shared = [tritonclient.http.InferInput("features", [1, 30], "FP32").set_shared_memory("region", 120)]
    cases.refused(lambda: client.infer("breast-cancer", shared, headers=dict(cases.HEADERS)), "shared_memory", "in the request")


client = tritonclient.http.InferenceServerClient(cases.HOST)
by_sync(client)
every_datatype(client)
asyncio.run(by_aio())
by_itself()
refusals(client)
