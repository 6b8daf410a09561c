"""tritonclient.grpc: streams, deadlines and sizes; and the services that gRPC's own tools call."""

import queue

import grpc
import numpy as np
import tritonclient.grpc

import cases

WANTED, FEATURES = cases.expected("breast_cancer"), cases.inputs("breast_cancer")["features"]


def tensor(array):
    sent = tritonclient.grpc.InferInput("features", list(array.shape), "FP32")
    sent.set_data_from_numpy(array)
    return [sent]


def streams():
    answers = queue.Queue()
    client = tritonclient.grpc.InferenceServerClient(cases.GRPC)
    client.start_stream(lambda result, error: answers.put((result, error)), headers=cases.HEADERS)
    rows = len(FEATURES)
    for number in range(100):
        row = number % rows
        client.async_stream_infer("breast-cancer", tensor(FEATURES[row : row + 1]), request_id=str(number))
    # One that fails ends nothing.
    client.async_stream_infer("breast-cancer", tensor(FEATURES[:1, :29]), request_id="wrong")
    client.async_stream_infer("nothing", tensor(FEATURES), request_id="nothing")
    client.async_stream_infer("breast-cancer", tensor(FEATURES), request_id="last", enable_empty_final_response=True)
    for number in range(100):
        result, error = answers.get(timeout=30)
        assert error is None, error
        row = number % rows
        assert result.get_response().id == str(number), "in their order"
        got = {name: result.as_numpy(name) for name in WANTED}
        cases.check(got, {name: array[row : row + 1] for name, array in WANTED.items()}, f"answer {number}")
    for words in ["[1, 29]", "no endpoint `nothing`"]:
        _, error = answers.get(timeout=30)
        assert words in str(error), error
    result, error = answers.get(timeout=30)
    assert error is None and result.get_response().parameters["triton_final_response"].bool_param, error
    client.stop_stream()

    client.start_stream(lambda result, error: answers.put((result, error)))
    _, error = answers.get(timeout=30)
    assert "needs a token" in str(error), error
    client.stop_stream()


def deadlines():
    client = tritonclient.grpc.InferenceServerClient(cases.GRPC)
    endless = tritonclient.grpc.InferInput("iterations", [1], "INT64")
    endless.set_data_from_numpy(np.array([2**62], np.int64))
    ask = lambda **more: client.infer("slow", [endless], headers=cases.HEADERS, **more)
    # Whoever is first, the client or the server, says the same.
    for _ in range(20):
        cases.refused(lambda: ask(client_timeout=0.05), "DEADLINE_EXCEEDED")
    # The server's own answer, in microseconds.
    cases.refused(lambda: ask(timeout=300_000), "DEADLINE_EXCEEDED", "did not answer in time")
    # Runs that nobody waits for any more are ended: the model answers the next.
    short = tritonclient.grpc.InferInput("iterations", [1], "INT64")
    short.set_data_from_numpy(np.array([3], np.int64))
    client.infer("slow", [short], headers=cases.HEADERS)


def sizes():
    client = tritonclient.grpc.InferenceServerClient(cases.GRPC)
    large = np.zeros((200_000, 30), np.float32)
    ask = lambda: client.infer("breast-cancer", tensor(large), headers=cases.HEADERS)
    cases.refused(ask, "OUT_OF_RANGE", "16777216 bytes")


def packed():
    client = tritonclient.grpc.InferenceServerClient(cases.GRPC)
    for algorithm in ["gzip", "deflate"]:
        result = client.infer(
            "breast-cancer", tensor(FEATURES), headers=cases.HEADERS, compression_algorithm=algorithm)
        cases.check({name: result.as_numpy(name) for name in WANTED}, WANTED, algorithm)
        answers = queue.Queue()
        client.start_stream(
            lambda result, error: answers.put((result, error)), headers=cases.HEADERS, compression_algorithm=algorithm)
        for _ in range(20):
            client.async_stream_infer("breast-cancer", tensor(FEATURES))
        for number in range(20):
            result, error = answers.get(timeout=30)
            assert error is None, error
            cases.check({name: result.as_numpy(name) for name in WANTED}, WANTED, f"{algorithm} {number}")
        client.stop_stream()
        # What fits only as long as it is packed.
        large = np.zeros((200_000, 30), np.float32)
        ask = lambda: client.infer(
            "breast-cancer", tensor(large), headers=cases.HEADERS, compression_algorithm=algorithm)
        cases.refused(ask, "RESOURCE_EXHAUSTED", "16777216 bytes")


def plain(method, request, stream=False, token=True):
    """A call in bytes, as a tool makes it that has no stubs."""
    with grpc.insecure_channel(cases.GRPC) as channel:
        metadata = [("authorization", cases.HEADERS["authorization"])] if token else []
        same = dict(request_serializer=bytes, response_deserializer=bytes)
        if stream:
            return next(channel.stream_stream(method, **same)(iter([request]), metadata=metadata, timeout=30))
        return channel.unary_unary(method, **same)(request, metadata=metadata, timeout=30)


def tools():
    for service in ["", "inference.GRPCInferenceService"]:
        name = service.encode()
        request = b"\x0a" + bytes([len(name)]) + name if name else b""
        assert plain("/grpc.health.v1.Health/Check", request, token=False) == b"\x08\x01", service
    for version in ["v1", "v1alpha"]:
        method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        services = plain(method, b"\x3a\x01*", stream=True)
        for service in [b"inference.GRPCInferenceService", b"grpc.health.v1.Health"]:
            assert service in services, services
        symbol = b"inference.GRPCInferenceService"
        described = plain(method, b"\x22" + bytes([len(symbol)]) + symbol, stream=True)
        assert b"ModelStreamInfer" in described
        cases.refused(lambda: plain(method, b"\x3a\x01*", stream=True, token=False), "UNAUTHENTICATED")


streams()
deadlines()
sizes()
packed()
tools()
