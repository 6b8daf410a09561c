"""Makes the pickles beside this file. Needs scikit-learn, pandas, joblib, cloudpickle, skops, and the
commands lz4 and zstd; with the argument `keras`, Keras models alone, which needs that and h5py:

    python make.py
    KERAS_BACKEND=jax python make.py keras
"""

import gzip
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import types
import zipfile
import zlib

HERE = pathlib.Path(__file__).parent

if "keras" in sys.argv:
    import keras

    layers = [keras.Input((2,)), keras.layers.Dense(1, activation="relu")]
    for name, model in [
        ("plain", keras.Sequential(layers)),
        ("lambda", keras.Sequential([*layers, keras.layers.Lambda(lambda value: value * 2)])),
    ]:
        model.save(HERE / f"{name}.keras")
        model.save(HERE / f"{name}.h5")
    sys.exit()

import cloudpickle
import joblib
import numpy
import pandas
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

features = numpy.arange(40.0).reshape(20, 2)
labels = numpy.array(["no", "yes"] * 10, dtype=object)


class Calls:
    def __init__(self, function, *arguments):
        self.made_by = (function, arguments)

    def __reduce__(self):
        return self.made_by


def save(name, content):
    (HERE / name).write_bytes(content)


pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, labels)
forest = RandomForestClassifier(n_estimators=2, max_depth=2, random_state=0).fit(features, labels)
frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pandas.to_datetime(["2026-01-01"] * 2)})

for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    save(f"pipeline-{protocol}.pkl", pickle.dumps(pipeline, protocol))
    save(f"system-{protocol}.pkl", pickle.dumps(Calls(os.system, "true"), protocol))
save("frame.pkl", pickle.dumps(frame))
joblib.dump(pipeline, HERE / "pipeline.joblib")
joblib.dump(forest, HERE / "forest.joblib")
joblib.dump(forest, HERE / "forest-zlib.joblib", compress=("zlib", 3))
objects = numpy.array([Calls(os.system, "true"), None], dtype=object)
joblib.dump({"first": features, "second": objects, "third": labels}, HERE / "system.joblib")
save("function.cloudpickle", cloudpickle.dumps(lambda value: value + len(sys.argv)))
numpy.save(HERE / "objects.npy", objects, allow_pickle=True)
numpy.save(HERE / "numbers.npy", features)
numpy.savez(HERE / "objects.npz", numbers=features, objects=objects)
for packing in ("gzip", "bz2", "xz", "lzma"):
    joblib.dump(forest, HERE / f"forest-{packing}.joblib", compress=(packing, 3))
    joblib.dump(objects, HERE / f"system-{packing}.joblib", compress=(packing, 3))
for packing in ("lz4", "zstd"):
    for name in ("forest", "system"):
        run = [packing, "-q", "-c", HERE / f"{name}.joblib"]
        save(f"{name}-{packing}.joblib", subprocess.run(run, capture_output=True, check=True).stdout)
call = pickle.dumps(Calls(os.system, "true"), 2)
# As joblib wrote it before 0.10.
save("system-old.joblib", b"ZF" + hex(len(call)).encode().ljust(19) + zlib.compress(call))
(HERE / "system.gz.pkl").write_bytes(gzip.compress(pickle.dumps(Calls(os.system, "true")), mtime=0))
skops.io.dump(pipeline, HERE / "pipeline.skops")


# What torch writes, without torch: what it would import stands in its place.
class FloatStorage:
    pass


def _rebuild_tensor_v2(*arguments):
    return arguments


for module, one in [("torch", FloatStorage), ("torch._utils", _rebuild_tensor_v2)]:
    one.__module__ = module
    sys.modules.setdefault(module, types.ModuleType(module))
    setattr(sys.modules[module], one.__name__, one)


class Tensor:
    def __reduce_ex__(self, protocol):
        return _rebuild_tensor_v2, (FloatStorage(), 0, (3, 4), (4, 1), False, {})


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, FloatStorage):
            return ("storage", FloatStorage, "0", "cpu", 12)


def torch_pickle(value):
    to = io.BytesIO()
    TorchPickler(to, 2).dump(value)
    return to.getvalue()


# 0x80 0x02 is how pickles begin too.
tensor = b"\x80\x02\xff\xff" * 12
for name, state in [("torch", {"weight": Tensor(), "bias": Calls(os.system, "true")}), ("state", {"weight": Tensor()})]:
    with zipfile.ZipFile(HERE / f"{name}.pt", "w") as archive:
        archive.writestr(f"{name}/data.pkl", torch_pickle(state))
        archive.writestr(f"{name}/data/0", tensor)
        archive.writestr(f"{name}/version", "3\n")
    with open(HERE / f"old-{name}.bin", "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(part, 2))
        file.write(torch_pickle(state))
        file.write(pickle.dumps(["0"], 2))
        file.write(tensor)

with tarfile.open(HERE / "nested.tar.gz", "w:gz") as archive:
    for name in ("numbers.npy", "torch.pt"):
        archive.add(HERE / name, name)
