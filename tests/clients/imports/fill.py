"""Fills an MLflow server (MLFLOW_TRACKING_URI) with everything that an import must carry.

`fill.py first`, and later `fill.py more`, which adds what the second import must find, and
`fill.py move-back`, which unsets an alias.
"""

import os
import pathlib
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "1")

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, RunTag
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

THIRD = int(mlflow.__version__.split(".")[0]) >= 3
client = mlflow.MlflowClient()
X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)
POINTS = 25_010


def log_model(flavour, model, name, **options):
    """Of one kind in MLflow 3, of another in 2."""
    options |= {"name": name} if THIRD else {"artifact_path": name}
    return flavour.log_model(model, pip_requirements=["numpy"], **options)


def files(run_id):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "deep/er").mkdir(parents=True)
        (root / "deep/er/zahlen.bin").write_bytes(bytes(range(256)) * 12_000)
        (root / "deep/empty").write_bytes(b"")
        # MLflow 2 takes such a name, and then cannot give the file back.
        (root / ("Notiz für Ärzte 学.txt" if THIRD else "Notiz.txt")).write_text("nothing to see", encoding="utf-8")
        (root / "100% & more.txt").write_text("odd name")
        client.log_artifacts(run_id, folder, "files")


def history(run_id):
    for first in range(0, POINTS, 1000):
        steps = range(first, min(first + 1000, POINTS))
        points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in steps]
        client.log_batch(run_id, metrics=points)


def parent_and_children():
    with mlflow.start_run(run_name="Vater 学習", description="has *children*") as parent:
        mlflow.set_tag("Grüße", "schöne\nzwei Zeilen")
        client.log_batch(
            parent.info.run_id,
            params=[Param(f"param {i:03}", f"value {i}") for i in range(90)],
            tags=[RunTag(f"tag.{i:03}", "x" * i) for i in range(90)])
        client.log_batch(parent.info.run_id, params=[Param(f"more {i:03}", "v" * 500) for i in range(90)])
        history(parent.info.run_id)
        dataset = mlflow.data.from_numpy(X, targets=Y, name="iris", digest="abcdef12")
        mlflow.log_input(dataset, context="training", tags={"why": "weil"} if THIRD else None)
        files(parent.info.run_id)
        for depth in (1, 2):
            with mlflow.start_run(nested=True, run_name=f"child {depth}"):
                mlflow.log_metric("val/acc", 0.5, step=-3, timestamp=1_700_000_000_000)
                mlflow.log_metric("val/acc", float("nan"), step=1, timestamp=1_700_000_000_001)
                mlflow.log_metric("val/acc", float("inf"), step=2, timestamp=1_700_000_000_002)
                mlflow.log_metric("val/acc", float("-inf"), step=2, timestamp=1_700_000_000_003)
                files(mlflow.active_run().info.run_id)
    return parent.info.run_id


def ends(experiment):
    for status in ("FAILED", "KILLED"):
        run = client.create_run(experiment, start_time=1_600_000_000_000, run_name=status)
        client.set_terminated(run.info.run_id, status, end_time=1_600_000_001_000)
    client.create_run(experiment, run_name="still going", tags={"mlflow.user": "ana"})
    gone = client.create_run(experiment, run_name="gone")
    client.log_metric(gone.info.run_id, "m", 1.0)
    client.log_text(gone.info.run_id, "deleted, not lost", "note.txt")
    client.delete_run(gone.info.run_id)


def registered():
    fitted = LogisticRegression(max_iter=300).fit(X, Y)
    for number in (1, 2, 3):
        with mlflow.start_run(run_name=f"training {number}") as run:
            options = {"skops_trusted_types": ["numpy.dtype"]} if THIRD else {}
            log_model(mlflow.sklearn, fitted, "model", input_example=X[:2], registered_model_name="Ähren iris", **options)
            mlflow.log_metric("accuracy", 0.9 + number / 100)
    client.update_registered_model("Ähren iris", "# what it is for\n学習")
    client.set_registered_model_tag("Ähren iris", "team", "risk")
    client.update_model_version("Ähren iris", "1", "the first")
    client.set_model_version_tag("Ähren iris", "1", "checked", "yes")
    client.delete_model_version("Ähren iris", "2")
    client.set_registered_model_alias("Ähren iris", "champion", "3")
    client.set_registered_model_alias("Ähren iris", "challenger", "1")
    client.transition_model_version_stage("Ähren iris", "1", "Archived")
    client.transition_model_version_stage("Ähren iris", "3", "Production")
    client.copy_model_version("models:/Ähren iris/3", "a copy")
    client.create_registered_model("empty", tags={"a": "b"}, description="no versions")
    client.create_registered_model("foreign")
    client.create_model_version("foreign", "s3://nowhere/model")
    plain = client.create_run(mlflow.get_experiment_by_name("models").experiment_id, run_name="plain folder")
    client.log_text(plain.info.run_id, "not a model at all", "thing/data.txt")
    if not THIRD:
        client.log_text(plain.info.run_id, "nobody can read this", "学.txt")
    client.set_terminated(plain.info.run_id)
    client.create_registered_model("it's a folder")
    client.create_model_version("it's a folder", f"{plain.info.artifact_uri}/thing", plain.info.run_id)
    return fitted


def onnx_model(fitted):
    import skl2onnx

    proto = skl2onnx.to_onnx(fitted, X[:1], options={"zipmap": False})
    with mlflow.start_run(run_name="onnx"):
        log_model(mlflow.onnx, proto, "model", registered_model_name="iris-onnx")
    client.set_registered_model_alias("iris-onnx", "champion", "1")


def logged_models():
    with mlflow.start_run(run_name="logs models") as run:
        model = mlflow.initialize_logged_model("kandidat", tags={"t": "ü"}, params={"p": "1"}, model_type="agent")
        mlflow.log_metric("auc", 0.75, step=1, model_id=model.model_id)
        mlflow.log_metric("auc", float("nan"), step=2, model_id=model.model_id)
        mlflow.finalize_logged_model(model.model_id, "FAILED")
        gone = mlflow.initialize_logged_model("weg")
        mlflow.finalize_logged_model(gone.model_id, "READY")
    with mlflow.start_run(run_name="evaluates"):
        mlflow.log_metric("auc", 0.8, model_id=model.model_id)
        client.log_inputs(mlflow.active_run().info.run_id, models=[mlflow.entities.LoggedModelInput(model.model_id)])
    client.delete_logged_model(gone.model_id)


def first():
    os.environ["MLFLOW_DISABLE_ENV_CREATION"] = "true"
    with mlflow.start_run(experiment_id="0", run_name="in the default one"):
        mlflow.log_param("where", "Default")
    deleted = client.create_experiment("gelöscht")
    client.create_run(deleted, run_name="in what is deleted")
    client.delete_experiment(deleted)
    parents = mlflow.create_experiment("Erste Ähre 学習", tags={"zweck": "Prüfung", "b": ""})
    mlflow.set_experiment(experiment_id=parents)
    parent_and_children()
    ends(parents)
    mlflow.set_experiment("models")
    fitted = registered()
    if THIRD:
        onnx_model(fitted)
        logged_models()


def more():
    runs = client.search_runs([mlflow.get_experiment_by_name("Erste Ähre 学習").experiment_id], "tags.`mlflow.runName` = 'still going'")
    run_id = runs[0].info.run_id
    client.log_metric(run_id, "late", 2.5, step=9)
    client.log_text(run_id, "written later", "late.txt")
    client.set_terminated(run_id)
    parent = client.search_runs([runs[0].info.experiment_id], "tags.`mlflow.runName` = 'Vater 学習'")[0].info.run_id
    client.log_metric(parent, "loss", 0.0, timestamp=1_700_000_900_000, step=POINTS)
    client.set_tag(parent, "Grüße", "andere")
    client.delete_tag(parent, "tag.001")
    client.delete_registered_model_alias("Ähren iris", "challenger")
    client.set_registered_model_alias("Ähren iris", "champion", "1")
    client.transition_model_version_stage("Ähren iris", "1", "Staging")
    before = client.get_model_version("it's a folder", "1")
    client.create_model_version(before.name, before.source, before.run_id)
    client.rename_experiment(mlflow.get_experiment_by_name("models").experiment_id, "Modelle")
    new = client.create_experiment("later")
    client.log_param(client.create_run(new).info.run_id, "a", "b")


def move_back():
    client.set_registered_model_alias("Ähren iris", "champion", "3")
    client.set_registered_model_alias("Ähren iris", "champion", "1")
    client.delete_registered_model_alias("Ähren iris", "champion")


{"first": first, "more": more, "move-back": move_back}[sys.argv[1]]()
