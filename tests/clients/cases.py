"""What the clients ask and what scikit-learn answers: the test models' own examples."""

import json
import os
import pathlib

import numpy as np

URL = os.environ["BOTTEGA_URL"]
HOST = URL.removeprefix("http://")
GRPC = os.environ["BOTTEGA_GRPC"]
TOKEN = os.environ["BOTTEGA_TOKEN"]
HEADERS = {"authorization": f"Bearer {TOKEN}"}

DATA = pathlib.Path(__file__).parent.parent / "models" / "data"
DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}


def example(model):
    """The body of a V2 request."""
    return json.loads((DATA / f"{model}.example.json").read_text())


def inputs(model):
    """Name -> array."""
    return arrays(example(model)["inputs"])


def expected(model):
    """Name -> array."""
    return arrays(json.loads((DATA / f"{model}.expected.json").read_text())["outputs"])


def arrays(tensors):
    return {t["name"]: np.array(t["data"], DTYPES[t["datatype"]]).reshape(t["shape"]) for t in tensors}


def check(got, wanted, what):
    """Numbers to 1e-5, everything else exactly."""
    assert got.keys() == wanted.keys(), f"{what}: {sorted(got)}"
    for name, array in wanted.items():
        assert got[name].shape == array.shape, f"{what}: {name} has shape {got[name].shape}"
        if array.dtype == np.float32:
            difference = np.abs(got[name] - array).max()
            assert difference <= 1e-5, f"{what}: {name} differs by {difference}"
        else:
            texts = [e.decode() if isinstance(e, bytes) else e for e in got[name].reshape(-1)]
            assert texts == list(array.reshape(-1)), f"{what}: {name} is {texts}"


def refused(call, *words):
    """Asserts that a call fails with all of these words."""
    try:
        call()
    except Exception as error:
        for word in words:
            assert word in str(error), f"no `{word}` in: {error}"
    else:
        raise AssertionError(f"not refused, but should say {words}")
