"""Small models built by hand: one operator each, to test one property each."""

import numpy as np
import onnx
from onnx import TensorProto, helper

# By the Open Inference Protocol's names.
TYPES = {
    "bool": TensorProto.BOOL,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "fp32": TensorProto.FLOAT,
    "fp64": TensorProto.DOUBLE,
    "bytes": TensorProto.STRING,
}


def make(data):
    (data / "identity").mkdir()
    for name, element in TYPES.items():
        node = helper.make_node("Identity", ["x"], ["y"])
        save(data / "identity" / f"{name}.onnx", [node], value("x", element, ["n", 2]), value("y", element, ["n", 2]))
    # Complex numbers have no place in any protocol of ours.
    node = helper.make_node("Identity", ["x"], ["y"])
    complex64 = TensorProto.COMPLEX64
    save(data / "complex.onnx", [node], value("x", complex64, ["n"]), value("y", complex64, ["n"]))
    fixed_batch(data)
    expand(data)
    slow(data)
    moody(data)
    external(data)
    divide(data)


def divide(data):
    """y = a / b, of whole numbers: the processor ends who divides the least of them by -1."""
    node = helper.make_node("Div", ["a", "b"], ["y"])
    a, b, y = (value(name, TensorProto.INT32, ["n"]) for name in "aby")
    save(data / "divide.onnx", [node], a, y, more=[b])


def fixed_batch(data):
    """Four rows at a time, as exporters do that never heard of a dynamic axis: y = x + x."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    save(data / "fixed_batch.onnx", [node], value("x", TensorProto.FLOAT, [4, 3]), value("y", TensorProto.FLOAT, [4, 3]))


def expand(data):
    """A small request, an answer as large as it asks for: `elements` zeros."""
    node = helper.make_node("ConstantOfShape", ["elements"], ["y"])
    save(data / "expand.onnx", [node], value("elements", TensorProto.INT64, [1]), value("y", TensorProto.FLOAT, ["elements"]))


def slow(data):
    """Counts to `iterations`: as slow as the request wants."""
    count = helper.make_node("Squeeze", ["iterations"], ["count"])
    save(data / "slow.onnx", [count, *counting("count")], value("iterations", TensorProto.INT64, [1]), value("y", TensorProto.FLOAT, [1]))


def moody(data):
    """y = x + x, after counting to the largest of x; fails where one of x is -2 or less. With the ends of
    identity/fp32.onnx, so that either can stand where the other is promised."""
    zero, last = constant("zero", np.zeros(1, np.float32)), constant("last", np.zeros((), np.float32))
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("Min", ["least", "last"], ["below"]),
        helper.make_node("Cast", ["below"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zero", "index"], ["picked"]),  # a list of one has no second from the end
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["trips"], to=TensorProto.INT64),
        *counting("trips", "counted"),
        helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "x"], ["twice"]),
        helper.make_node("Add", ["twice", "picked"], ["sure"]),
        helper.make_node("Add", ["sure", "nothing"], ["y"]),
    ]
    ends = value("x", TensorProto.FLOAT, ["n", 2]), value("y", TensorProto.FLOAT, ["n", 2])
    save(data / "moody.onnx", nodes, *ends, initializers=[zero, last])


def counting(trips, into="y"):
    """A loop that adds 1 to 0 as many times as the scalar `trips` says."""
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "one"], ["next"]), helper.make_node("Identity", ["go"], ["again"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("sum", TensorProto.FLOAT, [1])],
        [value("again", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1])],
        [constant("one", np.ones(1, np.float32))],
    )
    start = helper.make_node("Constant", [], ["start"], value=constant("start", np.zeros(1, np.float32)))
    go_on = helper.make_node("Constant", [], ["go_on"], value=constant("go_on", np.array(True)))
    return [start, go_on, helper.make_node("Loop", [trips, "go_on", "start"], [into], body=body)]


def external(data):
    """y = x + weights, where the weights 0 1 2 3 lie in a file beside the model."""
    (data / "external").mkdir()
    (data / "external" / "weights.bin").write_bytes(np.arange(4, dtype="<f4").tobytes())
    save_external(data / "external" / "model.onnx", "weights.bin")


def save_external(file, location):
    weights = TensorProto(name="weights", dims=[4], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, "offset": "0", "length": "16"}.items():
        weights.external_data.add(key=key, value=text)
    node = helper.make_node("Add", ["x", "weights"], ["y"])
    ends = value("x", TensorProto.FLOAT, ["n", 4]), value("y", TensorProto.FLOAT, ["n", 4])
    save(file, [node], *ends, initializers=[weights])


def save(file, nodes, source, target, initializers=(), more=()):
    graph = helper.make_graph(nodes, file.stem, [source, *more], [target], list(initializers))
    model = helper.make_model(graph, producer_name="bottega-tests", opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString(deterministic=True))


def value(name, element, shape):
    return helper.make_tensor_value_info(name, element, shape)


def constant(name, array):
    return onnx.numpy_helper.from_array(array, name)
