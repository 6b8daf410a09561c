"""Makes the pickles beside this file. Needs scikit-learn, pandas, joblib, cloudpickle, skops:

    python make.py
"""

import gzip
import os
import pathlib
import pickle
import sys
import zipfile

import cloudpickle
import joblib
import numpy
import pandas
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).parent
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
joblib.dump(pipeline, HERE / "bz2.joblib", compress=("bz2", 3))
(HERE / "system.gz.pkl").write_bytes(gzip.compress(pickle.dumps(Calls(os.system, "true")), mtime=0))
skops.io.dump(pipeline, HERE / "pipeline.skops")
with zipfile.ZipFile(HERE / "torch.pt", "w") as archive:
    # As torch.save lays it out, with a call where the tensors' description would be.
    archive.writestr("torch/data.pkl", pickle.dumps(Calls(os.system, "true"), 2))
    archive.writestr("torch/data/0", features.tobytes())
    archive.writestr("torch/version", "3\n")
