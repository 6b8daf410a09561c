"""Makes the `MLmodel` files beside this file, with their input examples, by the MLflow that it runs with:

    $BOTTEGA_MLFLOW3 make.py; $BOTTEGA_MLFLOW2 make.py

Needs scikit-learn, xgboost, onnx and skl2onnx as well.
"""

import importlib
import pathlib
import shutil
import tempfile

import mlflow
import numpy
import pandas
import xgboost
from mlflow.models import infer_signature
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

HERE = pathlib.Path(__file__).parent / mlflow.__version__
# What each flavour calls the model that it saves.
MODEL = {"sklearn": "sk_model", "xgboost": "xgb_model", "onnx": "onnx_model", "pyfunc": "python_model"}
KEPT = ["MLmodel", "input_example.json", "serving_input_example.json"]

table = pandas.DataFrame({"amount": [1.5, 200.0, 3.25, 90.0], "age": [31, 44, 27, 50], "is_new": [True, False, True, False]})
labels = [0, 1, 0, 1]
numbers = table[["amount", "age"]].to_numpy(numpy.float32)
trusted = {"skops_trusted_types": ["numpy.dtype"]} if mlflow.__version__.startswith("3.") else {}


class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def save(name, flavour, model, **options):
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "model"
        # What the packages need is not looked for: that takes long, and is not read.
        save_model = importlib.import_module(f"mlflow.{flavour}").save_model
        save_model(**{MODEL[flavour]: model}, path=str(path), pip_requirements=["mlflow"], **options)
        (HERE / name).mkdir(parents=True, exist_ok=True)
        for kept in KEPT:
            if (path / kept).exists():
                shutil.copy(path / kept, HERE / name / kept)


shutil.rmtree(HERE, ignore_errors=True)
on_table = LogisticRegression().fit(table, labels)
on_numbers = LogisticRegression().fit(numbers, labels)
booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(table, label=labels), 2)
exported = to_onnx(on_numbers, numbers[:1], options={"zipmap": False})
# Other names for it, which a signature of columns cannot mean.
columns_of_onnx = infer_signature(table[["amount", "age"]], pandas.DataFrame({"label": labels}))

save("sklearn-columns", "sklearn", on_table, input_example=table[:2], **trusted)
save("sklearn-tensor", "sklearn", on_numbers, input_example=numbers[:2], **trusted)
save("sklearn-bare", "sklearn", on_numbers, **trusted)
save("xgboost", "xgboost", booster, signature=infer_signature(table, numpy.array([0.5], numpy.float32)), model_format="json")
save("onnx", "onnx", exported, input_example=numbers[:2])
save("onnx-columns", "onnx", exported, signature=columns_of_onnx)
save("pyfunc-params", "pyfunc", Echo(), signature=infer_signature(
    table, [0.5], {"temperature": 0.5, "stop": ["a", "b"], "seed": 7}))
save("pyfunc-nested", "pyfunc", Echo(), signature=infer_signature(
    [{"name": "a", "scores": [1.0, 2.0], "place": {"city": "x", "zip": 1}}], ["x"]))
save("pyfunc-types", "pyfunc", Echo(), signature=ModelSignature(
    Schema([ColSpec(kind, kind.name, required=kind is not DataType.string) for kind in DataType]),
    Schema([TensorSpec(numpy.dtype("float16"), (-1, 3), "probabilities"), TensorSpec(numpy.dtype("str"), (-1,), "label")])))
