"""Arrays to bytes and back, as Open Inference Protocol V2 has them; and what stands for arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

numpy: Any
try:
    numpy = import_module("numpy")
except ImportError:  # then everything goes as JSON
    numpy = None

# V2's names for what NumPy has too. BF16, which it has not, comes as float32.
DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class Spec:
    """An input as the server describes it. A dimension of -1 is of any length."""

    def __init__(self, name: str, datatype: str, shape: Sequence[int], optional: bool = False) -> None:
        self.name = name
        self.optional = optional
        self.datatype = datatype
        self.shape = list(shape)

    def array(self, value: Any) -> Any:
        """A value as an array of this type, where that loses nothing but precision."""
        array = numpy.asarray(value)
        try:
            array = self._cast(array)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"input `{self.name}`: expected {self.datatype}: {error}") from None
        # One value for each row, where the model wants rows of one.
        if array.ndim == len(self.shape) - 1 and self.shape[-1:] == [1]:
            array = array[..., numpy.newaxis]
        return array

    def _cast(self, array: Any) -> Any:
        if self.datatype == "BYTES":
            return array.astype(object)
        wanted = numpy.dtype("<f4" if self.datatype == "BF16" else DTYPES[self.datatype])
        if array.dtype == wanted:
            return array
        if array.dtype == object:
            if wanted.kind == "f":
                return array.astype(wanted)  # None is NaN
            array = numpy.asarray(array.tolist())
        if array.size == 0 or (wanted.kind == "f" and array.dtype.kind in "iuf"):
            return array.astype(wanted)
        if wanted.kind in "iu" and array.dtype.kind in "iu":
            cast = array.astype(wanted)
            if (cast == array).all() and ((cast < 0) == (array < 0)).all():
                return cast
            raise ValueError("a number is out of range")
        raise ValueError(f"there are elements of {array.dtype}")


def specs(metadata: Mapping[str, Any]) -> list[Spec]:
    """The inputs of V2's metadata."""
    return [Spec(tensor["name"], tensor["datatype"], tensor["shape"], tensor.get("optional", False)) for tensor in metadata["inputs"]]


def columns(value: Any) -> dict[str, Any] | None:
    """The columns of a data frame or of rows that are mappings; None where it is neither."""
    if is_frame(value):
        return {str(name): value[name].to_numpy() for name in value.columns}
    if isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
        names = list(value[0])
        for at, row in enumerate(value):
            if list(row) != names and set(row) != set(names):
                raise ValueError(f"row {at} has the columns {sorted(row)}: expected {sorted(names)} as in row 0")
        return {name: [row[name] for row in value] for name in names}
    return None


def is_frame(value: Any) -> bool:
    """Whether it is a data frame of pandas, which need not be installed to know."""
    return hasattr(value, "columns") and hasattr(value, "to_json")


def arrange(value: Any, inputs: Sequence[Spec]) -> dict[str, Any]:
    """Arrays for a model's inputs: by name, or out of rows, a data frame, or one array for the only input.

    A column is the input of its name. Where a model has one input and no column is called so, all columns are its.
    """
    by_name = dict(value) if isinstance(value, Mapping) else columns(value)
    known = {spec.name: spec for spec in inputs}
    if by_name is None:
        if len(inputs) != 1:
            raise ValueError(f"the model has the inputs {sorted(known)}: send a dict of arrays, a data frame, or rows that are dicts")
        return {inputs[0].name: inputs[0].array(value)}
    if len(inputs) == 1 and not isinstance(value, Mapping) and inputs[0].name not in by_name:
        stacked = [numpy.asarray(column) for column in by_name.values()]
        return {inputs[0].name: inputs[0].array(numpy.stack(stacked, axis=1))}
    required = {spec.name for spec in inputs if not spec.optional}
    if not required <= by_name.keys() <= known.keys():
        raise ValueError(f"there are the inputs {sorted(by_name)}: expected {sorted(known)}")
    return {name: known[name].array(column) for name, column in by_name.items()}


def encode(tensors: Mapping[str, tuple[str, Any]], outputs: Sequence[str] | None, parameters: Mapping[str, Any]) -> tuple[bytes, int]:
    """A request's body, and how many of its bytes are JSON."""
    described, tails = [], []
    for name, (datatype, array) in tensors.items():
        tail = _bytes(name, datatype, array)
        described.append({"name": name, "datatype": datatype, "shape": list(array.shape), "parameters": {"binary_data_size": len(tail)}})
        tails.append(tail)
    request: dict[str, Any] = {"inputs": described, "parameters": {"binary_data_output": True, **parameters}}
    if outputs is not None:
        request["outputs"] = [{"name": name} for name in outputs]
    head = json.dumps(request).encode()
    return b"".join([head, *tails]), len(head)


def _bytes(name: str, datatype: str, array: Any) -> bytes:
    if datatype == "BF16":
        bits = numpy.ascontiguousarray(array, "<f4").view("<u4")
        # To the nearest, of two the even one; a NaN stays one.
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        rounded = numpy.where(numpy.isnan(array), 0x7FC0, rounded)
        return bytes(rounded.astype("<u2").tobytes())
    if datatype != "BYTES":
        return bytes(numpy.ascontiguousarray(array, DTYPES[datatype]).tobytes())
    pieces = []
    for element in array.reshape(-1):
        if not isinstance(element, (str, bytes)):
            raise ValueError(f"input `{name}`: expected str or bytes, not {type(element).__name__}")
        piece = element.encode() if isinstance(element, str) else element
        pieces += [len(piece).to_bytes(4, "little"), piece]
    return b"".join(pieces)


def decode(body: bytes, head: int) -> dict[str, Any]:
    """The outputs of an answer whose first `head` bytes are JSON."""
    outputs, at = {}, head
    for tensor in json.loads(body[:head])["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        outputs[tensor["name"]] = _array(tensor["datatype"], tensor["shape"], body[at : at + size])
        at += size
    return outputs


def _array(datatype: str, shape: Sequence[int], data: bytes) -> Any:
    if datatype == "BF16":
        return (numpy.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
    if datatype != "BYTES":
        return numpy.frombuffer(data, DTYPES[datatype]).reshape(shape)
    elements, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        elements.append(_text(data[at + 4 : end]))
        at = end
    array = numpy.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)


def _text(element: bytes) -> str | bytes:
    """Text where it is some."""
    try:
        return element.decode()
    except UnicodeDecodeError:
        return element


def split(frame: Any) -> dict[str, Any]:
    """A data frame as MLflow's `dataframe_split`, with every digit of its numbers. What is missing is null."""
    values = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return {"columns": [str(name) for name in frame.columns], "data": values}


def plain(value: Any) -> Any:
    """What JSON has for a value that it does not know."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("bytes that are no text go as binary tensors, for which the token must be one that may look at the endpoint") from None
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)) and value.dtype.kind in "biufOSU":
        return value.tolist()
    raise ValueError(f"there are elements of {type(value).__name__}")


# What stands for the floats that JSON has not.
SPECIAL = ("NaN", "Infinity", "-Infinity")
# What an output without a name is called; MLflow's scoring answers it by itself.
UNNAMED = "output-0"


def rows(predictions: Any) -> dict[str, Any]:
    """The outputs of MLflow's scoring by name, whether it answered tensors or records."""
    if isinstance(predictions, Mapping):
        by_name = dict(predictions)
    elif predictions and isinstance(predictions[0], Mapping):
        by_name = {name: [row[name] for row in predictions] for name in predictions[0]}
    else:
        by_name = {UNNAMED: predictions} if predictions else {}
    by_name = {name: _floats(value) if _is_of_floats(value) else value for name, value in by_name.items()}
    return by_name if numpy is None else {name: numpy.asarray(value) for name, value in by_name.items()}


def _is_of_floats(value: Any) -> bool:
    """Whether its texts are all floats that JSON has not."""
    if isinstance(value, list):
        return all(map(_is_of_floats, value))
    return not isinstance(value, str) or value in SPECIAL


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(element) for element in value]
    return float(value) if isinstance(value, str) else value
