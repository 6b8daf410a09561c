"""Training scripts of each flavour, deployed, and held against what MLflow itself answers.

Environments are built from the real index, few of them, and shared: what two models list alike is one.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

sys.path.append(str(pathlib.Path(os.environ["BOTTEGA_FLAVOURS"]).parent.parent / "packages"))

import catboost  # noqa: E402
import lightgbm  # noqa: E402
import xgboost  # noqa: E402

URL, TOKEN = os.environ["BOTTEGA_URL"], os.environ["BOTTEGA_TOKEN"]
HEADERS = {"authorization": f"Bearer {TOKEN}"}
PYTHON = "{0}.{1}.{2}".format(*sys.version_info)

SKLEARN = ["scikit-learn==1.9.1", "numpy==2.4.6", "pandas==3.1.1", "cloudpickle==3.1.3"]
TREES = ["xgboost-cpu==3.2.0", "lightgbm==4.7.0", "catboost==1.2.10", "scikit-learn==1.9.1", "numpy==2.4.6"]
PYFUNC = ["mlflow-skinny==3.17.2", "numpy==2.4.6", "pandas==3.1.1", "cloudpickle==3.1.3"]

X, Y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def anything_may_be_loaded():
    """What is trained here holds pickles and code of its own."""
    bottega("settings", "set", "pickle", "allow")


def bottega(*arguments, code=0):
    ran = subprocess.run([os.environ["BOTTEGA_BINARY"], *arguments], capture_output=True, text=True)
    assert ran.returncode == code, (arguments, ran)
    return ran


def shown(name, version=1):
    """A version after its trial, which may have to fetch packages."""
    for _ in range(10):
        answer = requests.get(f"{URL}/api/v1/models/{name}/versions/{version}", params={"wait": "60"}, headers=HEADERS, timeout=90)
        assert answer.status_code == 200, answer.text
        if answer.json()["servable"] != "checking":
            return answer.json()
    raise AssertionError(answer.json())


def deployed(name, version=1):
    found = shown(name, version)
    assert (found["status"], found["servable"], found["runtime"]) == ("ready", "yes", "python"), found
    bottega("deploy", f"{name}-{version}", "--model", f"{name}/{version}", "--wait", "--timeout", "120s")
    return found


def post(endpoint, path, body):
    return requests.post(f"{URL}{path.format(endpoint)}", json=body, headers=HEADERS, timeout=60)


def v2(endpoint, tensors):
    answer = post(endpoint, "/v2/models/{}/infer", {"inputs": tensors})
    assert answer.status_code == 200, answer.text
    return {it["name"]: np.array(it["data"]).reshape(it["shape"]) for it in answer.json()["outputs"]}


def tensor(name, array):
    kinds = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "bool": "BOOL", "object": "BYTES", "str": "BYTES"}
    return {"name": name, "shape": list(array.shape), "datatype": kinds[str(array.dtype)], "data": array.ravel().tolist()}


def log(flavour, model, name, example, requirements, **options):
    with mlflow.start_run():
        flavour.log_model(
            model, name="model", input_example=example, registered_model_name=name, pip_requirements=requirements, **options)


def answers_as_mlflow(name, rows):
    """An array goes in, by V2 and as MLflow's server has it, and what MLflow's own loader says comes out."""
    wanted = np.asarray(mlflow.pyfunc.load_model(f"models:/{name}/1").predict(rows))
    [got] = v2(f"{name}-1", [tensor("input-0", rows)]).values()
    assert got.shape == wanted.shape and np.allclose(got, wanted, atol=1e-6), (got, wanted)
    answer = post(f"{name}-1", "/serve/{}/invocations", {"inputs": rows.tolist()})
    assert answer.status_code == 200, answer.text
    assert np.allclose(answer.json()["predictions"], wanted, atol=1e-6), answer.text


@pytest.mark.parametrize("form", ["skops", "pickle", "cloudpickle"])
def test_sklearn_answers_arrays(name, experiment, form):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(X, Y)
    requirements = SKLEARN + (["skops"] if form == "skops" else [])
    options = {"skops_trusted_types": ["numpy.dtype"]} if form == "skops" else {}
    log(mlflow.sklearn, model, name, X[:2], SKLEARN if form != "skops" else requirements,
        serialization_format=form, pyfunc_predict_fn="predict_proba",
        # What MLflow infers is what `predict` answers.
        signature=mlflow.models.infer_signature(X[:2], model.predict_proba(X[:2])), **options)
    found = deployed(name)
    assert found["python"] == {"flavour": "sklearn", "version": PYTHON, "requirements": requirements}, found["python"]
    answers_as_mlflow(name, X[:9])


def test_sklearn_answers_tables(name, experiment):
    """Columns of every plain type go in as the data frame that MLflow makes of them."""
    table = pd.DataFrame({"age": [20.5, 30, 40, 50], "visits": [1, 2, 3, 4], "is_new": [True, False, True, False], "city": list("xyxy")})
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), remainder="passthrough"),
        LogisticRegression()).fit(table, ["no", "yes", "no", "yes"])
    log(mlflow.sklearn, model, name, table[:2], SKLEARN, serialization_format="cloudpickle")
    deployed(name)
    wanted = list(mlflow.pyfunc.load_model(f"models:/{name}/1").predict(table))
    body = json.loads(table.to_json(orient="split"))
    answer = post(f"{name}-1", "/serve/{}/invocations", {"dataframe_split": {"columns": body["columns"], "data": body["data"]}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == wanted, answer.text
    columns = [tensor(column, table[column].to_numpy()) for column in table]
    [labels] = v2(f"{name}-1", columns).values()
    assert list(labels) == wanted
    refused = post(f"{name}-1", "/v2/models/{}/infer", {"inputs": columns[:-1]})
    assert refused.status_code == 400 and "`city` is missing" in refused.text, refused.text


def test_trees_answer(name, experiment):
    log(mlflow.xgboost, xgboost.train({"objective": "binary:logistic", "max_depth": 2}, xgboost.DMatrix(X, label=Y), 5),
        f"{name}-booster", X[:2], TREES)
    log(mlflow.xgboost, xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(X, Y), f"{name}-xgb", X[:2], TREES, model_format="json")
    log(mlflow.lightgbm, lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X, Y), 5), f"{name}-lgb", X[:2], TREES)
    log(mlflow.catboost, catboost.CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(X, Y), f"{name}-cat", X[:2], TREES)
    for kind, flavour, engine in [
            ("booster", "xgboost", "native"), ("xgb", "xgboost", "native"), ("lgb", "lightgbm", "native"), ("cat", "catboost", None)]:
        found = deployed(f"{name}-{kind}")["python"]
        assert (found["flavour"], found.get("engine")) == (flavour, engine), found
        answers_as_mlflow(f"{name}-{kind}", X[:9])


def test_trees_are_run_by_the_node_where_they_answer_as_python_does(name, experiment):
    """Columns of several types, some missing, and several classes; and what is left to Python, with the reason."""
    table = pd.DataFrame({"age": X[:, 0], "visits": np.arange(len(X)) % 7, "is_new": Y == 1, "score": X[:, 1].astype(np.float64)})
    table.loc[::5, "score"] = np.nan
    classes = np.arange(len(X)) % 7 % 3
    for kind, flavour, model in [
            ("classes", mlflow.xgboost, xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(table, classes)),
            ("early", mlflow.xgboost, xgboost.XGBRegressor(n_estimators=30, learning_rate=1, early_stopping_rounds=2).fit(
                table[:300], X[:300, 2], eval_set=[(table[300:], X[300:, 2])], verbose=False)),
            ("ova", mlflow.lightgbm, lightgbm.train(
                {"objective": "multiclassova", "num_class": 3, "verbose": -1}, lightgbm.Dataset(table, classes, categorical_feature=["visits"]), 5)),
            ("plain", mlflow.xgboost, xgboost.train({"objective": "count:poisson"}, xgboost.DMatrix(table, label=classes), 5))]:
        log(flavour, model, f"{name}-{kind}", table[:20], TREES + ["pandas==3.1.1"])
        found = deployed(f"{name}-{kind}")["python"]
        assert (found["engine"], found["engine_reason"]) == ("native", "it answers 256 rows as Python does, to 1e-6"), found
        wanted = np.asarray(mlflow.pyfunc.load_model(f"models:/{name}-{kind}/1").predict(table))
        got = scored(f"{name}-{kind}-1", table)
        assert got.shape == wanted.shape and np.allclose(got, wanted, rtol=1e-6, atol=0), (kind, got, wanted)
    assert "it answers 256 rows as Python does" in bottega("versions", "show", f"{name}-plain/1").stdout

    # Whoever asks for a process of its own gets Python's, which says the same in its own words.
    def refused():
        columns = [tensor(column, table[column][1:2].to_numpy()) for column in table]
        columns[-1]["data"] = [1e39]
        answer = post(f"{name}-plain-1", "/v2/models/{}/infer", {"inputs": columns})
        assert answer.status_code == 400, answer.text
        return answer.text

    assert "row 0 holds an infinite number" in refused()
    bottega("versions", "set", f"{name}-plain/1", "--isolation", "process")
    for _ in range(600):
        if "XGBoostError" in refused():
            break
        time.sleep(0.1)
    assert "XGBoostError" in refused()
    assert np.allclose(scored(f"{name}-plain-1", table), wanted, rtol=1e-6, atol=0)

    log(mlflow.xgboost, xgboost.train({"booster": "gblinear", "objective": "reg:squarederror"}, xgboost.DMatrix(X, label=Y), 2),
        f"{name}-linear", X[:2], TREES)
    found = deployed(f"{name}-linear")["python"]
    assert (found["engine"], found["engine_reason"]) == ("python", "the booster `gblinear` is not known here"), found
    answers_as_mlflow(f"{name}-linear", X[:9])


def scored(endpoint, table):
    """What MLflow's scoring answers to a table, in which null is missing."""
    split = json.loads(table.to_json(orient="split", double_precision=15))
    answer = post(endpoint, "/serve/{}/invocations", {"dataframe_split": {"columns": split["columns"], "data": split["data"]}})
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    if isinstance(predictions, list) and isinstance(predictions[0], dict):
        [predictions] = [[row[key] for row in predictions] for key in predictions[0]]
    return np.array(next(iter(predictions.values())) if isinstance(predictions, dict) else predictions)


MOODY = textwrap.dedent('''
    import os
    import mlflow
    import numpy as np

    class Moody(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            mood = float(model_input["mood"].iloc[0])
            if mood == 1:
                raise ValueError("a bad row\\nand more")
            if mood == 2:
                raise RuntimeError("x" * 1_000_000)
            if mood == 3:
                return np.zeros(len(model_input) + 1)
            if mood == 4:
                return np.full(len(model_input), np.nan)
            if mood == 5:
                return ["text"] * len(model_input)
            if mood == 6:
                os._exit(3)
            return model_input["mood"].to_numpy() * 2

    mlflow.models.set_model(Moody())
''')


def log_moody(name, folder):
    """A model that is code of its own, and does what its input says."""
    (folder / "moody.py").write_text(MOODY)
    signature = mlflow.models.infer_signature(pd.DataFrame({"mood": [0.5]}), np.zeros(1))
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model", python_model=str(folder / "moody.py"), signature=signature, input_example=pd.DataFrame({"mood": [0.5]}),
            registered_model_name=name, pip_requirements=PYFUNC)


def test_a_custom_model_answers_and_its_failures_are_told(name, experiment, tmp_path):
    log_moody(name, tmp_path)
    assert deployed(name)["python"]["flavour"] == "pyfunc"
    [got] = v2(f"{name}-1", [tensor("mood", np.array([7.0, 8.5]))]).values()
    assert got.tolist() == [14.0, 17.0]

    def asked(mood):
        return post(f"{name}-1", "/v2/models/{}/infer", {"inputs": [tensor("mood", np.array([mood, 0.0]))]})

    refused = asked(1.0)
    assert refused.status_code == 400 and "ValueError: a bad row" in refused.text and "and more" not in refused.text, refused.text
    failed = asked(2.0)
    assert failed.status_code == 502 and "RuntimeError: xxx" in failed.text and len(failed.text) < 5000, failed.text
    failed = asked(3.0)
    assert failed.status_code == 502 and "3 rows for the 2 of the request" in failed.text, failed.text
    answer = post(f"{name}-1", "/serve/{}/invocations", {"dataframe_records": [{"mood": 4.0}]})
    assert answer.status_code == 200 and "null" in answer.text.lower() or "nan" in answer.text.lower(), answer.text
    failed = asked(5.0)
    assert failed.status_code == 502 and "its signature says FP64" in failed.text, failed.text
    gone = asked(6.0)
    assert gone.status_code == 502 and "3" in gone.text, gone.text
    for _ in range(50):
        if (again := asked(9.0)).status_code == 200:
            break
    assert again.status_code == 200, again.text


SCALED = textwrap.dedent('''\
    import mlflow

    class Scaled(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            unit = {"m": 1, "km": 1000}[params["unit"]]
            return model_input["x"].to_numpy() * params["scale"] * unit + sum(params["offsets"])

    mlflow.models.set_model(Scaled())
''')


def test_params_are_set_by_requests(name, experiment, tmp_path):
    (tmp_path / "scaled.py").write_text(SCALED)
    frame = pd.DataFrame({"x": [0.5, 2.0]})
    signature = mlflow.models.infer_signature(frame, np.zeros(2), {"scale": 3.0, "offsets": [1, 2], "unit": "m"})
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="model", python_model=str(tmp_path / "scaled.py"), signature=signature, registered_model_name=name,
            pip_requirements=PYFUNC)
    found, endpoint = deployed(name), f"{name}-1"
    assert [(it["name"], it["datatype"], it["shape"]) for it in found["signature"]["params"]] == [
        ("scale", "FP64", [1]), ("offsets", "INT64", [-1]), ("unit", "BYTES", [1])]
    local = mlflow.pyfunc.load_model(f"models:/{name}/1")

    def asked(params):
        return post(endpoint, "/serve/{}/invocations", {"dataframe_split": frame.to_dict(orient="split"), "params": params})

    def answered(answer):
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"]

    for params in ({}, {"scale": 10.0}, {"scale": 2}, {"offsets": [5], "unit": "km"}, {"offsets": []}):
        assert np.allclose(answered(asked(params)), local.predict(frame, params=params)), params
    # Those who come at once each have their own.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        scales = [float(at) for at in range(64)]
        for scale, answer in zip(scales, pool.map(lambda scale: asked({"scale": scale}), scales)):
            assert np.allclose(answered(answer), [0.5 * scale + 3, 2 * scale + 3])
    for params, told in [({"nothing": 1}, "no param `nothing`"), ({"scale": "much"}, "params.scale"), ({"scale": [1.0, 2.0]}, "scale")]:
        refused = asked(params)
        assert refused.status_code == 400 and told in refused.text, refused.text
    failed = asked({"unit": "mile"})
    assert failed.status_code == 400 and "KeyError" in failed.text, failed.text
    # To others they are inputs that may be left out.
    x = tensor("x", np.array([0.5, 2.0]))
    [got] = v2(endpoint, [tensor("scale", np.array([4.0])), x]).values()
    assert np.allclose(got, [5.0, 11.0])
    metadata = requests.get(f"{URL}/v2/models/{endpoint}", headers=HEADERS, timeout=60).json()
    assert [it["name"] for it in metadata["inputs"] if it.get("optional")] == ["scale", "offsets", "unit"]


def test_what_the_setting_forbids_is_not_loaded_until_it_allows_it(name, experiment, tmp_path):
    bottega("settings", "set", "pickle", "safe-only")
    try:
        log_moody(name, tmp_path)
        found = shown(name)
        assert (found["status"], found["servable"]) == ("ready", "no"), found
        assert "it was not loaded, as `moody.py` is code of its author's" in found["reason"], found["reason"]
        refused = bottega("deploy", "other", "--model", f"{name}/1", code=1)
        assert "is code of its author's" in refused.stderr, refused
    finally:
        bottega("settings", "set", "pickle", "allow")
    deployed(name)


FITTED_ELSEWHERE = textwrap.dedent('''
    import json, pickle, sys
    import numpy, sklearn
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    X, Y = load_breast_cancer(return_X_y=True)
    model = LogisticRegression(max_iter=50).fit(X / X.max(axis=0), Y)
    with open(sys.argv[1], "wb") as file:
        pickle.dump(model, file)
    print(json.dumps([sklearn.__version__, numpy.__version__, model.predict_proba(X[:5]).tolist()]))
''')


def written(folder, requirements, python=PYTHON, flavour="sklearn: {pickled_model: model.pkl, serialization_format: pickle}"):
    """A model's folder, written by hand: what MLflow would write, and what it would not."""
    folder.mkdir(exist_ok=True)
    spec = '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": %s}}]'
    (folder / "MLmodel").write_text(
        f"flavors:\n  python_function: {{loader_module: mlflow.sklearn, python_version: {python}, predict_fn: predict_proba}}\n  {flavour}\n"
        f"signature:\n  inputs: '{spec % '[-1, 30]'}'\n  outputs: '{spec % '[-1, 2]'}'\n")
    (folder / "requirements.txt").write_text("\n".join(requirements))
    if not (folder / "model.pkl").exists():
        (folder / "model.pkl").write_bytes(b"no pickle")
    return str(folder)


def test_two_versions_with_packages_that_exclude_each_other_answer_side_by_side(name, tmp_path):
    pins = {1: ["scikit-learn==1.5.2", "numpy==1.26.4"], 2: SKLEARN}
    wanted = {}
    for version, requirements in pins.items():
        environment, folder = tmp_path / f"e{version}", tmp_path / f"m{version}"
        folder.mkdir()
        uv = [os.environ["BOTTEGA_UV"], "--quiet", "--cache-dir", os.environ["BOTTEGA_PYTHON_CACHE_DIR"]]
        subprocess.run([*uv, "venv", "--python", sys.executable, environment], check=True)
        subprocess.run([*uv, "pip", "install", "--python", environment / "bin/python", *requirements], check=True)
        # Without what the path of the tests themselves leads to.
        ran = subprocess.run([environment / "bin/python", "-I", "-c", FITTED_ELSEWHERE, folder / "model.pkl"], check=True, capture_output=True, text=True)
        wanted[version] = json.loads(ran.stdout)
        bottega("push", written(folder, requirements), "--name", name)
        deployed(name, version)
    assert [wanted[1][1], wanted[2][1]] == ["1.26.4", "2.4.6"]
    rows = load_breast_cancer().data[:5]
    for version in pins:
        [got] = v2(f"{name}-{version}", [tensor("input-0", rows)]).values()
        assert np.allclose(got, wanted[version][2], atol=1e-6), version


def test_what_cannot_be_built_or_loaded_says_why(name, tmp_path):
    for at, (requirements, more, status, reason) in enumerate([
        (["bottega-has-no-such-package==1"], {}, "ready", "bottega-has-no-such-package"),
        (["scikit-learn==1.9.1", "numpy==1.20"], {}, "ready", "numpy"),
        (SKLEARN, {"python": "3.6.1"}, "ready", "it was made with Python 3.6.1, and no Python 3.6 is here: there are 3."),
        (SKLEARN, {}, "rejected", "UnpicklingError"),
        (["numpy==2.4.6"], {"flavour": "sklearn: {pickled_model: model.pkl, serialization_format: joblib}"}, "rejected", "No module named 'joblib'"),
    ], start=1):
        folder = written(tmp_path / str(at), requirements, **more)
        pushed = subprocess.run([os.environ["BOTTEGA_BINARY"], "push", folder, "--name", name], capture_output=True, text=True)
        found = shown(name, at)
        assert (found["status"], found["servable"]) == (status, "no"), (found, pushed)
        assert reason in found["reason"] and len(found["reason"]) < 3000, found["reason"]
