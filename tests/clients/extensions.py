"""tritonclient's other calls, over HTTP and over gRPC: what there is, and what is refused in words."""

import sys

import numpy as np
import tritonclient.grpc
import tritonclient.http

import cases

KIND = sys.argv[1]
CLIENT = {"http": tritonclient.http, "grpc": tritonclient.grpc}[KIND]
ADDRESS = {"http": cases.HOST, "grpc": cases.GRPC}[KIND]
ASK = {"headers": cases.HEADERS} if KIND == "http" else {"headers": cases.HEADERS, "as_json": True}


def infer(client, rows):
    tensor = CLIENT.InferInput("features", [rows, 30], "FP32")
    tensor.set_data_from_numpy(np.zeros((rows, 30), np.float32))
    return client.infer("breast-cancer", [tensor], headers=dict(cases.HEADERS))


def statistics(client, **which):
    (stats,) = client.get_inference_statistics(**which, **ASK)["model_stats"]
    return stats


def count(stats, part):
    # gRPC as JSON writes whole numbers as strings, and leaves zeros out.
    return int(stats["inference_stats"].get(part, {}).get("count", 0))


def main():
    client = CLIENT.InferenceServerClient(ADDRESS)
    extensions = client.get_server_metadata(**ASK)["extensions"]
    assert {"binary_tensor_data", "statistics", "model_configuration", "model_repository"} <= set(extensions)

    before = statistics(client, model_name="breast-cancer")
    for rows in [1, 2, 2]:
        infer(client, rows)
    cases.refused(lambda: client.infer("breast-cancer", [], headers=dict(cases.HEADERS)), "`features` is missing")
    after = statistics(client, model_name="breast-cancer", model_version="1")
    assert count(after, "success") - count(before, "success") >= 3, after
    assert count(after, "fail") - count(before, "fail") == 1, after
    assert int(after["inference_count"]) - int(before.get("inference_count", 0)) >= 5, after
    sizes = {int(batch["batch_size"]): int(batch["compute_infer"]["count"]) for batch in after["batch_stats"]}
    assert sizes[2] >= 2, sizes
    names = {stats["name"] for stats in client.get_inference_statistics(**ASK)["model_stats"]}
    assert {"breast-cancer", "color-size"} <= names, names

    config = client.get_model_config("breast-cancer", **ASK)
    config = config if KIND == "http" else config["config"]
    assert int(config["max_batch_size"]) > 0 and [int(dim) for dim in config["input"][0]["dims"]] == [30], config
    assert config["input"][0]["data_type"] == "TYPE_FP32" and config["backend"] == "onnxruntime", config

    index = client.get_model_repository_index(**ASK)
    index = index if KIND == "http" else index["models"]
    entry = {"name": "breast-cancer", "version": "1", "state": "READY"}
    assert any(entry.items() <= model.items() for model in index), index

    head = {"headers": cases.HEADERS}
    client.load_model("breast-cancer", **head)
    cases.refused(lambda: client.load_model("breast-cancer", config="{}", **head), "`config` is not supported")
    cases.refused(lambda: client.unload_model("breast-cancer", **head), "bottega endpoints delete breast-cancer")
    cases.refused(lambda: client.load_model("nothing", **head), "no endpoint `nothing`")
    assert infer(client, 1).as_numpy("label") is not None

    for call in [
        lambda: client.get_system_shared_memory_status(**head),
        lambda: client.register_system_shared_memory("region", "/key", 120, **head),
        lambda: client.unregister_system_shared_memory(**head),
        lambda: client.get_cuda_shared_memory_status(**head),
        lambda: client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 120, **head),
        lambda: client.unregister_cuda_shared_memory("region", **head),
    ]:
        cases.refused(call, "shared memory is not supported by this server", "send the elements in the request")
    cases.refused(lambda: client.get_trace_settings(**head), "trace settings are not supported")
    cases.refused(lambda: client.update_trace_settings("breast-cancer", {"trace_level": ["OFF"]}, **head), "trace settings")
    cases.refused(lambda: client.get_log_settings(**head), "log settings are not supported")
    cases.refused(lambda: client.update_log_settings({"log_info": True}, **head), "log settings")
    cases.refused(lambda: client.get_system_shared_memory_status(), "needs a token")


main()
