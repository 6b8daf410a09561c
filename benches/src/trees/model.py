"""Trees for `./just bench trees`: `model.py FOLDER FILE` saves a booster as MLflow does, and the same trees as ONNX."""

import json
import math
import sys

import mlflow.xgboost
import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper
from sklearn.datasets import load_breast_cancer

X, Y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)


def converted(booster):
    """XGBoost's trees as ONNX's operator for them, which asks the same of each node."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    score = float(learner["learner_model_param"]["base_score"].strip("[]"))
    keys = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")
    nodes, leaves = {key: [] for key in keys}, {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        for at, left in enumerate(tree["left_children"]):
            leaf, value = left == -1, tree["split_conditions"][at]
            row = (number, at, tree["split_indices"][at], "LEAF" if leaf else "BRANCH_LT", 0.0 if leaf else value,
                   0 if leaf else left, 0 if leaf else tree["right_children"][at], int(tree["default_left"][at]))
            for key, item in zip(keys, row):
                nodes[key].append(item)
            if leaf:
                for key, item in zip(leaves, (number, at, 0, value)):
                    leaves[key].append(item)
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["input-0"], ["sums"], domain="ai.onnx.ml", n_targets=1,
        base_values=[-math.log(1 / score - 1)], **{f"nodes_{key}": value for key, value in nodes.items()},
        **{f"target_{key}": value for key, value in leaves.items()})
    graph = helper.make_graph(
        [trees, helper.make_node("Sigmoid", ["sums"], ["output-0"])], "trees", [helper.make_tensor_value_info("input-0", TensorProto.FLOAT, ["n", X.shape[1]])],
        [helper.make_tensor_value_info("output-0", TensorProto.FLOAT, ["n", 1])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=10)


booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "eta": 0.1}, xgboost.DMatrix(X, label=Y), 100)
mlflow.xgboost.save_model(booster, sys.argv[1], input_example=X[:2], pip_requirements=["xgboost-cpu==3.2.0", "numpy==2.4.6"])
onnx.save(converted(booster), sys.argv[2])
