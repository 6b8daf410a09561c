"""Models that must be refused, or stopped."""

import numpy as np
from onnx import TensorProto, helper

from plain import constant, counting, save, save_external, value

FLOAT = TensorProto.FLOAT


def make(data):
    (data / "not_onnx.onnx").write_text("I am not a model, whatever my name says.\n")
    whole = (data / "breast_cancer.onnx").read_bytes()
    (data / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    ends = value("x", FLOAT, [1]), value("y", FLOAT, [1])
    save(data / "unknown_operator.onnx", [helper.make_node("NoSuchOp", ["x"], ["y"])], *ends)
    save(data / "endless.onnx", endless(), *ends)
    save(data / "huge.onnx", huge(), *ends)
    save(data / "greedy.onnx", greedy(), *ends)
    save_external(data / "external_parent.onnx", "../secret.bin")
    save_external(data / "external_absolute.onnx", "/etc/passwd")


def endless():
    """Loads well, and never answers."""
    trips = helper.make_node("Constant", [], ["trips"], value=constant("trips", np.array(2**63 - 1)))
    return [trips, *counting("trips")]


def huge():
    """Loads well, and wants 64 GiB for each answer. The size hangs on the input, so that no
    optimiser works it out while it loads."""
    size = helper.make_node("Constant", [], ["size"], value=constant("size", np.array([2**34])))
    nothing = helper.make_node("Constant", [], ["nothing"], value=constant("nothing", np.array([0])))
    return [
        size,
        nothing,
        helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Mul", ["whole", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "size"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["y"], keepdims=1),
    ]


def greedy():
    """Loads well, and takes 16 MiB more a thousand times: no single step is too large."""
    trips = helper.make_node("Constant", [], ["trips"], value=constant("trips", np.array(1000)))
    go_on = helper.make_node("Constant", [], ["go_on"], value=constant("go_on", np.array(True)))
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Expand", ["x", "size"], ["piece"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, [])],
        [value("again", TensorProto.BOOL, []), value("piece", FLOAT, [2**22])],
        [constant("size", np.array([2**22]))],
    )
    loop = helper.make_node("Loop", ["trips", "go_on"], ["pieces"], body=body)
    most = helper.make_node("ReduceMax", ["pieces"], ["most"], keepdims=0)
    return [trips, go_on, loop, most, helper.make_node("Add", ["x", "most"], ["y"])]
