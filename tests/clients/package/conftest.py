"""The package as it lies in clients/python, and the test models' own examples."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))
MODELS = ROOT / "tests" / "models" / "data"
DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}

import bottega  # noqa: E402


def arrays(file, kind):
    tensors = json.loads((MODELS / file).read_text())[kind]
    return {t["name"]: np.array(t["data"], DTYPES[t["datatype"]]).reshape(t["shape"]) for t in tensors}


class Case:
    def __init__(self, name):
        self.name, self.endpoint = name, name.replace("_", "-")
        self.inputs = arrays(f"{name}.example.json", "inputs")
        self.expected = arrays(f"{name}.expected.json", "outputs")

    def check(self, answer):
        assert set(answer) == set(self.expected)
        for name, wanted in self.expected.items():
            got = np.asarray(answer[name])
            assert got.shape == wanted.shape, name
            if wanted.dtype == np.float32:
                assert np.abs(got - wanted).max() <= 1e-5, name
            else:
                assert got.tolist() == wanted.tolist(), name


@pytest.fixture(scope="session")
def client():
    with bottega.Client() as made:
        yield made


@pytest.fixture(scope="session")
def deployed(client):
    """Pushes and deploys a test model once."""
    done = {}

    def deploy(file, name=None):
        name = name or pathlib.Path(file).stem
        if name not in done:
            version = client.push(MODELS / file, name, alias="champion")
            assert version.status == "ready" and version.servable == "yes", version
            release = client.deploy(name.replace("_", "-"), f"{name}@champion")
            assert release.state == "completed", release
            done[name] = version
        return done[name]

    return deploy


@pytest.fixture(params=["breast_cancer", "color_size"])
def case(request, deployed):
    deployed(f"{request.param}.onnx")
    return Case(request.param)


@pytest.fixture
def login_only(monkeypatch, tmp_path):
    """As where nobody set a variable."""
    values = {name: os.environ[name] for name in ("BOTTEGA_URL", "BOTTEGA_TOKEN")}
    for name in values:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return values, tmp_path / "bottega" / "login.toml"
