"""Runs one model for its node: reads questions from its standard input, a socket, and answers them, one at a time.

The frames are those of docs/decisions/0038. Needs Python 3.8, NumPy and what the model needs.
"""

import gc
import importlib
import inspect
import json
import os
import pickle
import socket
import struct
import sys

import numpy as np

HEADER = struct.Struct("<4sB3xIIQ")
LOAD, LOADED, INFER, ANSWER, ERROR = range(1, 6)
LONGEST_HEAD, LONGEST_BODY, LONGEST_MESSAGE, AT_ONCE = 4 << 20, 1 << 31, 1000, 64 << 10
DTYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}
# What a model raises because of what it was given, as the packages themselves do it.
ABOUT_INPUT = (ValueError, TypeError, LookupError, ArithmeticError)
ITS_PACKAGES = {"xgboost", "lightgbm", "catboost", "_catboost", "mlflow"}


class Refused(Exception):
    """An error for the other side: its kind, its words, and the tensor that it is about."""

    def __init__(self, kind, message, field=None):
        super().__init__(message)
        self.kind, self.field = kind, field


def words(error):
    """An exception's type and first line."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return said[:LONGEST_MESSAGE]


class Talk:
    """The socket, frame by frame."""

    def __init__(self):
        # Nothing that the model reads or starts gets hold of it.
        self.socket = socket.socket(fileno=os.dup(0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        self.kept = b""

    def take(self, length):
        # Not `bytes`: models may write into what they are given.
        buffer = bytearray(length)
        view, at = memoryview(buffer), min(length, len(self.kept))
        view[:at], self.kept = self.kept[:at], self.kept[at:]
        while at < length:
            if length - at >= AT_ONCE:
                count = self.socket.recv_into(view[at:])
            else:
                # Most questions come as a whole.
                more = self.socket.recv(AT_ONCE)
                count = min(length - at, len(more))
                view[at:at + count], self.kept = more[:count], more[count:]
            if not count:
                sys.exit(0)
            at += count
        return buffer

    def hear(self):
        magic, kind, head, number, body = HEADER.unpack(self.take(HEADER.size))
        if magic != b"BTG1" or head > LONGEST_HEAD or body > LONGEST_BODY:
            sys.exit("what came is no frame")
        return kind, number, json.loads(self.take(head)), self.take(body)

    def say(self, kind, number, head, parts=()):
        head = json.dumps(head, separators=(",", ":")).encode()
        size = sum(len(part) for part in parts)
        pieces = [memoryview(HEADER.pack(b"BTG1", kind, len(head), number, size) + head)]
        pieces += [memoryview(part) for part in parts]
        while pieces:
            sent = self.socket.sendmsg(pieces[:64])
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if pieces:
                pieces[0] = pieces[0][sent:]


def read(spec, body, at):
    """A tensor of the body that begins there."""
    shape, datatype = spec["shape"], spec["datatype"]
    count = int(np.prod(shape, dtype=np.int64))
    if datatype != "BYTES":
        return np.frombuffer(body, DTYPES[datatype], count, at).reshape(shape)
    array = np.empty(count, object)
    for place in range(count):
        length = int.from_bytes(body[at:at + 4], "little")
        array[place] = bytes(body[at + 4:at + 4 + length])
        at += 4 + length
    return array.reshape(shape)


def read_all(head, body):
    tensors, at = {}, 0
    for spec in head["tensors"]:
        tensors[spec["name"]] = read(spec, body, at)
        at += -(-spec["bytes"] // 8) * 8
    return tensors


def texts(name, array):
    try:
        return [item.decode() for item in array.ravel()]
    except UnicodeDecodeError as error:
        raise Refused("input", f"`{name}` is no UTF-8: {error}", name) from None


class Table:
    """Makes the data frame of a request."""

    def __init__(self, columns, signature):
        import pandas
        self.pandas, self.columns = pandas, columns
        self.names = [spec["name"] for spec in signature["inputs"]]
        shown = [at if column["name"] is None else column["name"] for at, column in enumerate(columns)]
        self.index = pandas.Index(shown)
        self.is_alike = len({spec["datatype"] for spec in signature["inputs"]} - {"BYTES"}) == 1 and all(
            spec["datatype"] != "BYTES" for spec in signature["inputs"])

    def column(self, name, kind, array):
        if array.dtype != object:
            return array
        if kind == "binary":
            return self.pandas.Series(list(array), dtype=object)
        values = texts(name, array)
        if kind == "datetime":
            try:
                return self.pandas.Series(self.pandas.to_datetime(values)).astype("datetime64[ns]")
            except (ValueError, TypeError, OverflowError) as error:
                raise Refused("input", f"`{name}` is no time: {error}", name) from None
        return self.pandas.Series(values) if values else self.pandas.Series(values, dtype=object)

    def __call__(self, tensors):
        arrays = [tensors[name].reshape(-1) for name in self.names]
        if self.is_alike:
            # One block of numbers: many times as fast as a column each.
            return self.pandas.DataFrame(np.stack(arrays, axis=1), columns=self.index, copy=False)
        made = [self.column(name, column["type"], array) for name, column, array in zip(self.names, self.columns, arrays)]
        frame = self.pandas.DataFrame(dict(enumerate(made)), copy=False)
        frame.columns = self.index
        return frame


def array_of(name, array):
    if array.dtype != object:
        return array
    return np.array(texts(name, array), dtype=str).reshape(array.shape)


def given(form, signature):
    """What makes a model's input of a request's tensors."""
    if isinstance(form, dict):
        return Table(form["columns"], signature)
    names = [spec["name"] for spec in signature["inputs"]]
    if form == "array":
        return lambda tensors: array_of(names[0], tensors[names[0]])
    return lambda tensors: {name: array_of(name, tensors[name]) for name in names}


def unpickled(path, loader):
    if loader["format"] == "skops":
        return importlib.import_module("skops.io").load(path, trusted=loader["trusted"])
    if loader["format"] == "joblib":
        return importlib.import_module("joblib").load(path)
    with open(path, "rb") as file:
        return pickle.load(file)


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def xgboost(path, loader):
    package = importlib.import_module("xgboost")
    model = named(loader["class"])()
    model.load_model(path)
    if isinstance(model, package.Booster):
        return lambda data: model.predict(package.DMatrix(data), validate_features=True)
    if isinstance(model, package.XGBModel):
        return lambda data: model.predict(data, validate_features=True)
    return model.predict


def lightgbm(path, loader):
    if loader["class"] == "lightgbm.basic.Booster":
        return importlib.import_module("lightgbm").Booster(model_file=path).predict
    return unpickled(path, loader).predict


def catboost(path, loader):
    model = getattr(importlib.import_module("catboost"), loader["class"])()
    model.load_model(path, loader["format"])
    return model.predict


def pyfunc(path, _loader):
    return importlib.import_module("mlflow.pyfunc").load_model(os.path.dirname(path)).predict


LOADERS = {
    "sklearn": lambda path, loader: getattr(unpickled(path, loader), loader["method"]),
    "xgboost": xgboost, "lightgbm": lightgbm, "catboost": catboost, "pyfunc": pyfunc,
}


def taking(predict, flavour):
    """The function that predicts, by a model's input and what a request sets besides."""
    if flavour == "pyfunc":
        return lambda data, params: predict(data, params=params) if params else predict(data)
    if flavour != "sklearn":
        return lambda data, _params: predict(data)
    # As MLflow does it: what the method does not know is not for it.
    try:
        known = inspect.signature(predict).parameters
    except (ValueError, TypeError):
        known = {}
    return lambda data, params: predict(data, **{name: value for name, value in params.items() if name in known})


def value_of(spec, array):
    """A param as Python has it."""
    values = texts(spec["name"], array) if array.dtype == object else array.ravel().tolist()
    return values[0] if spec["shape"] == [1] else values


def load(order):
    """The function that predicts, and what makes its input."""
    model, signature = order["model"], order["signature"]
    for spec in signature["inputs"] + signature.get("params", []) + signature["outputs"]:
        if spec["datatype"] != "BYTES" and spec["datatype"] not in DTYPES:
            raise Refused("load", f"`{spec['name']}` is {spec['datatype']}, which NumPy does not have")
    folder = os.path.join(os.environ["BOTTEGA_MODEL"], model["folder"])
    if model.get("code"):
        sys.path.insert(0, os.path.join(folder, model["code"]))
    loader = model["loader"]
    predict = LOADERS[loader["flavour"]](os.path.join(folder, loader["file"]), loader)
    prepare, params = given(model["input"], signature), signature.get("params", [])
    return taking(predict, loader["flavour"]), prepare, params, signature["outputs"], order["output_bytes"]


def trim():
    """Gives back memory that loading took and nobody needs any more."""
    gc.collect()
    try:
        importlib.import_module("ctypes").CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError):
        # Another libc, or a Python without its functions.
        pass


def outputs(result, specs):
    """A model's result as the outputs of its signature."""
    names = [spec["name"] for spec in specs]
    if hasattr(result, "columns"):
        columns = list(result.columns)
        if len(specs) == 1 and len(specs[0]["shape"]) == 2:
            return [result.to_numpy()]
        by_name = all(name in columns for name in names)
        if not by_name and len(columns) != len(specs):
            raise Refused("failed", f"its answer has the columns {columns[:20]}, but its signature {names}")
        return [(result[name] if by_name else result.iloc[:, at]).to_numpy() for at, name in enumerate(names)]
    if isinstance(result, dict):
        missing = [name for name in names if name not in result]
        if missing and len(result) != len(specs):
            raise Refused("failed", f"its answer has no `{missing[0]}`, which its signature names")
        return list(result.values()) if missing else [result[name] for name in names]
    if len(specs) == 1:
        return [result]
    if isinstance(result, tuple) and len(result) == len(specs):
        return list(result)
    table = np.asarray(result)
    if table.ndim == 2 and table.shape[1] == len(specs):
        return list(table.T)
    raise Refused("failed", f"its answer has the shape {list(table.shape)}, but its signature names {names}")


def element(value, name):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if hasattr(value, "isoformat"):
        return value.isoformat().encode()
    raise Refused("failed", f"its output `{name}` holds {type(value).__name__}, but its signature says BYTES")


def written(value, spec):
    """A tensor's shape and bytes."""
    name, datatype, rank = spec["name"], spec["datatype"], len(spec["shape"])
    array = np.asarray(value)
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    elif array.ndim == rank - 1:
        array = array[..., None] if array.ndim else array.reshape([1] * rank)
    if datatype == "BYTES":
        items = [element(item, name) for item in array.ravel().tolist()]
        return array.shape, b"".join(struct.pack("<I", len(item)) + item for item in items)
    dtype = np.dtype(DTYPES[datatype])
    if array.dtype == object:
        # Numbers in boxes; what is missing is no number.
        array = array_of_numbers(array, name, datatype)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise Refused("failed", f"its output `{name}` is {array.dtype}, but its signature says {datatype}")
        array = array.astype(dtype)
    # Its bytes, without a copy where they lie in a row.
    return array.shape, memoryview(np.ascontiguousarray(array).reshape(-1)).cast("B") if array.size else b""


def array_of_numbers(array, name, datatype):
    items = array.ravel().tolist()
    if datatype in ("FP16", "FP32", "FP64"):
        items = [float("nan") if item is None else item for item in items]
    if not all(isinstance(item, (bool, int, float)) for item in items):
        odd = next(item for item in items if not isinstance(item, (bool, int, float)))
        raise Refused("failed", f"its output `{name}` holds {type(odd).__name__}, but its signature says {datatype}")
    return np.array(items).reshape(array.shape)


def answer(model, head, body):
    predict, prepare, params, specs, limit = model
    asked = read_all(head, body)
    data = prepare(asked)
    params = {spec["name"]: value_of(spec, asked[spec["name"]]) for spec in params if spec["name"] in asked}
    try:
        result = predict(data, params)
    except MemoryError:
        raise
    except Exception as error:
        is_about_input = isinstance(error, ABOUT_INPUT) or type(error).__module__.split(".")[0] in ITS_PACKAGES
        raise Refused("run" if is_about_input else "failed", words(error)) from error
    tensors, parts, size = [], [], 0
    for spec, value in zip(specs, outputs(result, specs)):
        shape, content = written(value, spec)
        if padding := -size % 8:
            parts.append(bytes(padding))
        tensors.append({"name": spec["name"], "datatype": spec["datatype"], "shape": list(shape), "bytes": len(content)})
        parts.append(content)
        size += padding + len(content)
        if size > limit:
            raise Refused("too-large", "its answer is too large", spec["name"])
    return {"tensors": tensors}, parts


def main():
    talk, model = Talk(), None
    while True:
        kind, number, head, body = talk.hear()
        try:
            if kind == LOAD:
                model = load(head)
                trim()
                talk.say(LOADED, number, {"signature": None})
            elif kind == INFER:
                said, parts = answer(model, head, body)
                talk.say(ANSWER, number, said, parts)
            else:
                sys.exit(f"a frame of kind {kind} is not for this side")
            continue
        except Refused as refused:
            error = {"kind": refused.kind, "message": str(refused)[:LONGEST_MESSAGE], "field": refused.field}
        except MemoryError:
            error = {"kind": "memory", "message": "there was not enough memory"}
        except OSError as failure:
            if kind != LOAD:
                raise
            error = {"kind": "load", "message": words(failure)}
        except Exception as failure:
            error = {"kind": "load" if kind == LOAD else "failed", "message": words(failure)}
        talk.say(ERROR, number, {key: value for key, value in error.items() if value is not None})


main()
