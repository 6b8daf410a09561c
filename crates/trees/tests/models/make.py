"""Makes the models beside it, and what their libraries say of rows: `python make.py` with xgboost and lightgbm.

`NAME.expected.json` holds the class of the object, rows (null is missing), and its
answer to each; numbers are texts, which keep the last bit."""

import json
import pathlib

import lightgbm
import numpy as np
import xgboost

HERE = pathlib.Path(__file__).parent
RANDOM = np.random.default_rng(7)
ROWS, FEATURES = 400, 6


def features(missing=0.0, categories=False):
    x = RANDOM.normal(size=(ROWS, FEATURES)).astype(np.float32)
    x[:, 1] = RANDOM.integers(0, 5, ROWS)
    x[RANDOM.random(x.shape) < 0.1] = 0
    if categories:
        x[:, 0] = RANDOM.integers(0, 40, ROWS)
    x[RANDOM.random(x.shape) < missing] = np.nan
    return x


def target(x, kind):
    score = np.nansum(x * np.array([1, -0.5, 2, 0, 0.3, -1]), axis=1) + np.where(np.isnan(x[:, 2]), 1, 0) + np.nan_to_num(x[:, 0]) % 3
    if kind == "binary":
        return (score > np.median(score)).astype(int)
    if kind == "positive":
        return np.exp(score / 4)
    if kind == "count":
        return np.floor(np.exp(score / 4)).astype(int)
    if kind == "part":
        return 1 / (1 + np.exp(-score))
    if kind == "classes":
        return np.digitize(score, np.quantile(score, [0.3, 0.7]))
    if kind == "labels":
        return np.stack([score > 0, x[:, 3] > 0.2, score < -1], axis=1).astype(int)
    if kind == "targets":
        return np.stack([score, -score * 2], axis=1)
    return score


def asked(x, edges):
    """Rows of the training, and some on the edges of the trees."""
    rows = x[:40].astype(np.float64)
    for at, (feature, edge) in enumerate(edges):
        rows[at % 40, feature] = edge
    rows[38], rows[39] = np.nan, -1e30
    return rows


def written(name, class_name, rows, answer):
    answer = np.asarray(answer)
    (HERE / f"{name}.expected.json").write_text(json.dumps({
        "class": class_name, "type": str(answer.dtype), "width": 1 if answer.ndim == 1 else answer.shape[1],
        "rows": [[None if np.isnan(x) else repr(float(x)) for x in row] for row in rows],
        "answers": [repr(float(value)) for value in answer.ravel()],
    }) + "\n")


def of_xgboost(name, kind, parameters, rounds=4, form="ubj", data={}, more={}, **of_features):
    x = features(**of_features)
    y = target(x, kind)
    training = xgboost.DMatrix(x, label=y, **data)
    if of_features.get("categories"):
        training = xgboost.DMatrix(x, label=y, feature_types=["c"] + ["q"] * (FEATURES - 1), enable_categorical=True)
    if parameters["objective"] == "survival:aft":
        training.set_float_info("label_lower_bound", y)
        training.set_float_info("label_upper_bound", y + 1)
    if parameters["objective"].startswith("rank"):
        training.set_group([20] * (ROWS // 20))
    booster = xgboost.train({"max_depth": 3, **parameters}, training, rounds, **more)
    booster.save_model(HERE / f"{name}.{form}")
    frame = booster.trees_to_dataframe() if not of_features.get("categories") else None
    edges = [] if frame is None else [(int(f[1:]), s) for f, s in zip(frame.Feature, frame.Split) if f != "Leaf"]
    rows = asked(x, edges).astype(np.float32)
    loaded = xgboost.Booster(model_file=HERE / f"{name}.{form}")
    types = booster.feature_types
    answer = loaded.predict(xgboost.DMatrix(rows, feature_types=types, enable_categorical=True))
    written(name, "xgboost.core.Booster", rows, answer)


def of_sklearn(name, cls, kind, form="ubj", early=False, **parameters):
    x = features(missing=0.1)
    y = target(x, kind)
    model = cls(n_estimators=4, max_depth=3, **parameters)
    if early:
        model.set_params(n_estimators=60, learning_rate=1.5, early_stopping_rounds=5)
        model.fit(x[:250], y[:250], eval_set=[(x[250:], y[250:])], verbose=False)
        assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    else:
        model.fit(x, y)
    model.save_model(HERE / f"{name}.{form}")
    loaded = cls()
    loaded.load_model(HERE / f"{name}.{form}")
    rows = asked(x, []).astype(np.float32)
    written(name, f"xgboost.sklearn.{cls.__name__}", rows, loaded.predict(rows))


def of_lightgbm(name, kind, parameters, rounds=4, missing=0.0, categories=False, training={}):
    x = features(missing, categories).astype(np.float64)
    y = target(x, kind)
    group = [20] * (ROWS // 20) if "rank" in parameters["objective"] else None
    data = lightgbm.Dataset(x, y, group=group, categorical_feature=[0] if categories else [], params=training)
    parameters = {"verbose": -1, "num_leaves": 6, "min_data_in_leaf": 5, **training, **parameters}
    booster = lightgbm.train(parameters, data, rounds)
    booster.save_model(HERE / f"{name}.txt")
    loaded = lightgbm.Booster(model_file=HERE / f"{name}.txt")
    frame = booster.trees_to_dataframe()
    edges = [(int(f[7:]), float(t)) for f, t in zip(frame.split_feature, frame.threshold) if isinstance(f, str) and "||" not in str(t) and not categories]
    rows = asked(x, edges)
    written(name, "lightgbm.basic.Booster", rows, loaded.predict(rows))


of_xgboost("xgb_binary", "binary", {"objective": "binary:logistic"}, missing=0.1)
of_xgboost("xgb_binary_json", "binary", {"objective": "binary:logistic"}, form="json", missing=0.1)
of_xgboost("xgb_logitraw", "binary", {"objective": "binary:logitraw", "base_score": 0.3})
of_xgboost("xgb_hinge", "binary", {"objective": "binary:hinge"})
of_xgboost("xgb_squared", "values", {"objective": "reg:squarederror"}, rounds=8, missing=0.1)
of_xgboost("xgb_absolute", "values", {"objective": "reg:absoluteerror"})
of_xgboost("xgb_logistic", "part", {"objective": "reg:logistic"})
of_xgboost("xgb_poisson", "count", {"objective": "count:poisson"}, form="json")
of_xgboost("xgb_gamma", "positive", {"objective": "reg:gamma"})
of_xgboost("xgb_tweedie", "positive", {"objective": "reg:tweedie"})
of_xgboost("xgb_cox", "positive", {"objective": "survival:cox"})
of_xgboost("xgb_aft", "positive", {"objective": "survival:aft"})
of_xgboost("xgb_rank", "count", {"objective": "rank:ndcg", "ndcg_exp_gain": False})
of_xgboost("xgb_softprob", "classes", {"objective": "multi:softprob", "num_class": 3}, missing=0.1)
of_xgboost("xgb_softmax", "classes", {"objective": "multi:softmax", "num_class": 3})
of_xgboost("xgb_targets", "targets", {"objective": "reg:squarederror"}, rounds=2)
of_xgboost("xgb_quantiles", "values", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, rounds=2)
of_xgboost("xgb_dart", "binary", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5, "seed": 3}, rounds=8)
of_xgboost("xgb_forest", "values", {"objective": "reg:squarederror", "num_parallel_tree": 5, "subsample": 0.6, "learning_rate": 1}, rounds=2)
of_xgboost("xgb_categories", "values", {"objective": "reg:squarederror", "max_cat_to_onehot": 4}, missing=0.05, categories=True)
of_xgboost("xgb_one_hot", "values", {"objective": "reg:squarederror", "max_cat_to_onehot": 100}, missing=0.05, categories=True)
of_sklearn("xgb_classifier", xgboost.XGBClassifier, "binary", form="json")
of_sklearn("xgb_classifier_early", xgboost.XGBClassifier, "classes", early=True)
of_sklearn("xgb_classifier_softmax", xgboost.XGBClassifier, "classes", objective="multi:softmax", num_class=3)
of_sklearn("xgb_classifier_labels", xgboost.XGBClassifier, "labels")
of_sklearn("xgb_rf_classifier", xgboost.XGBRFClassifier, "classes")
of_sklearn("xgb_regressor_early", xgboost.XGBRegressor, "values", early=True)
of_sklearn("xgb_rf_regressor", xgboost.XGBRFRegressor, "values")

of_lightgbm("lgb_binary", "binary", {"objective": "binary"}, missing=0.1)
of_lightgbm("lgb_binary_steep", "binary", {"objective": "binary", "sigmoid": 2.5})
of_lightgbm("lgb_regression", "values", {"objective": "regression"}, rounds=8, missing=0.1)
of_lightgbm("lgb_square", "positive", {"objective": "regression", "reg_sqrt": True})
of_lightgbm("lgb_l1", "values", {"objective": "regression_l1"})
of_lightgbm("lgb_huber", "values", {"objective": "huber"}, rounds=2)
of_lightgbm("lgb_quantile", "values", {"objective": "quantile", "alpha": 0.8}, rounds=2)
of_lightgbm("lgb_poisson", "count", {"objective": "poisson"})
of_lightgbm("lgb_gamma", "positive", {"objective": "gamma"}, rounds=2)
of_lightgbm("lgb_tweedie", "positive", {"objective": "tweedie"}, rounds=2)
of_lightgbm("lgb_cross_entropy", "part", {"objective": "cross_entropy"}, rounds=2)
of_lightgbm("lgb_cross_entropy_lambda", "part", {"objective": "cross_entropy_lambda"}, rounds=2)
of_lightgbm("lgb_multiclass", "classes", {"objective": "multiclass", "num_class": 3})
of_lightgbm("lgb_ova", "classes", {"objective": "multiclassova", "num_class": 3})
of_lightgbm("lgb_rank", "count", {"objective": "lambdarank"})
of_lightgbm("lgb_zeros", "values", {"objective": "regression"}, training={"zero_as_missing": True}, missing=0.1)
of_lightgbm("lgb_no_missing", "values", {"objective": "regression"}, training={"use_missing": False}, missing=0.1)
of_lightgbm("lgb_rf", "binary", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6})
of_lightgbm("lgb_dart", "values", {"objective": "regression", "boosting": "dart", "drop_rate": 0.5})
of_lightgbm("lgb_categories", "values", {"objective": "regression", "min_data_per_group": 5, "cat_smooth": 1}, missing=0.05, categories=True)

# What is not known here.
X = features()
for name, cls, parameters in [
    ("refused_xgb_linear", xgboost, {"booster": "gblinear", "objective": "reg:squarederror"}),
    ("refused_xgb_vectors", xgboost, {"multi_strategy": "multi_output_tree", "objective": "reg:squarederror"}),
    ("refused_lgb_linear", lightgbm, {"linear_tree": True, "objective": "regression", "verbose": -1, "num_leaves": 4}),
]:
    y = target(X, "targets" if "vectors" in name else "values")
    if cls is xgboost:
        xgboost.train(parameters, xgboost.DMatrix(X, label=y), 2).save_model(HERE / f"{name}.ubj")
    else:
        lightgbm.train(parameters, lightgbm.Dataset(X.astype(np.float64), y, params={"linear_tree": True, "verbose": -1}), 2).save_model(HERE / f"{name}.txt")
