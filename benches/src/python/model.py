"""A scikit-learn model for `./just bench python`: `make FOLDER` saves it as MLflow does, `loop FOLDER SECONDS`
tells how many calls of 32 rows a second its own `predict` answers in a loop."""

import sys
import time

import mlflow.sklearn
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, Y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)

if sys.argv[1] == "make":
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    mlflow.sklearn.save_model(
        model, sys.argv[2], input_example=X[:2], serialization_format="cloudpickle",
        pip_requirements=["scikit-learn==1.9.1", "numpy==2.4.6", "cloudpickle==3.1.3"])
else:
    model, rows = mlflow.sklearn.load_model(sys.argv[2]), X[:32]
    count, end = 0, time.perf_counter() + float(sys.argv[3])
    while time.perf_counter() < end:
        model.predict(rows)
        count += 1
    print(count / float(sys.argv[3]))
