"""Compares two servers with MLflow's own client, field by field and byte by byte.

`compare.py THEIRS OURS`; a token for both is in MLFLOW_TRACKING_TOKEN. It prints each difference, and
fails if there is one. Before, it makes sure that it looked at everything the other script made.
"""

import math
import pathlib
import sys
import urllib.parse
from collections import Counter

import mlflow
import requests
from mlflow.entities import ViewType
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

THIRD = int(mlflow.__version__.split(".")[0]) >= 3
TOKEN = __import__("os").environ["MLFLOW_TRACKING_TOKEN"]
seen, differences = Counter(), []


def differ(what, theirs, ours):
    if theirs != ours:
        differences.append(f"{what}: {theirs!r:.300} there, {ours!r:.300} here")


class Side:
    def __init__(self, url):
        self.url = url
        self.client = mlflow.MlflowClient(url, url)

    def all(self, search, *arguments, **options):
        token, found = None, []
        while True:
            page = search(*arguments, page_token=token, **options)
            found += page
            token = page.token
            if not token:
                return found

    def get(self, address, **query):
        answer = requests.get(self.url + address, params=query, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)
        answer.raise_for_status()
        return answer

    def files(self, uri):
        """Path below the URI, and bytes, of everything there."""
        if not uri.startswith("mlflow-artifacts:/"):
            return stored(uri)
        root = uri.removeprefix("mlflow-artifacts:").lstrip("/")
        found, folders = {}, [""]
        while folders:
            folder = folders.pop()
            whole = f"{root}/{folder}" if folder else root
            for info in self.get("/api/2.0/mlflow-artifacts/artifacts", path=whole).json().get("files", []):
                path = f"{folder}/{info['path']}" if folder else info["path"]
                if info.get("is_dir"):
                    folders.append(path)
                else:
                    address = urllib.parse.quote(f"{root}/{path}")
                    try:
                        found[path] = self.get(f"/api/2.0/mlflow-artifacts/artifacts/{address}").content
                    except requests.ConnectionError:
                        assert not THIRD and path == "学.txt", path
        return found

    def version_files(self, version):
        uri = self.client.get_model_version_download_uri(version.name, version.version)
        if uri.startswith("models:/m-"):
            uri = self.client.get_logged_model(uri.removeprefix("models:/")).artifact_location
        return self.files(uri)


def stored(uri):
    """The same, of what MLflow reads where it lies."""
    repository, found, folders = get_artifact_repository(uri), {}, [None]
    while folders:
        for info in repository.list_artifacts(folders.pop()):
            if info.is_dir:
                folders.append(info.path)
            else:
                found[info.path] = pathlib.Path(repository.download_artifacts(info.path)).read_bytes()
    return found


def value(number):
    return "NaN" if math.isnan(number) else number


def compare_runs(there, here, theirs, ours):
    runs = {run.info.run_id: run for run in here.all(here.client.search_runs, [ours], run_view_type=ViewType.ALL)}
    for run in there.all(there.client.search_runs, [theirs], run_view_type=ViewType.ALL):
        run_id, name = run.info.run_id, run.info.run_name
        other = runs.get(run_id)
        if other is None:
            differences.append(f"run {name} is not here")
            continue
        seen["runs"] += 1
        for field in ("run_name", "user_id", "status", "start_time", "end_time", "lifecycle_stage"):
            differ(f"{name} {field}", getattr(run.info, field), getattr(other.info, field))
        differ(f"{name} params", run.data.params, other.data.params)
        differ(f"{name} tags", run.data.tags, other.data.tags)
        latest = [{key: value(number) for key, number in it.data.metrics.items()} for it in (run, other)]
        differ(f"{name} metrics", *latest)
        differ(f"{name} inputs", run.inputs.to_dictionary(), other.inputs.to_dictionary())
        seen["datasets"] += len(run.inputs.dataset_inputs)
        if THIRD:
            outputs = [sorted((o.model_id, o.step) for o in it.outputs.model_outputs) if it.outputs else [] for it in (run, other)]
            outputs[0] = [o for o in outputs[0] if is_there(there, o[0])]
            differ(f"{name} outputs", *outputs)
            seen["outputs"] += len(outputs[0])
        for key in run.data.metrics:
            points = [
                sorted((p.timestamp, p.step, str(value(p.value))) for p in side.client.get_metric_history(run_id, key)) for side in (there, here)]
            differ(f"{name} {key} points", len(points[0]), len(points[1]))
            differ(f"{name} {key}", *points)
            seen["points"] += len(points[0])
        files = there.files(run.info.artifact_uri)
        differ(f"{name} files", files, here.files(other.info.artifact_uri))
        seen["files"] += len(files)


def is_there(side, model_id):
    try:
        return bool(side.client.get_logged_model(model_id))
    except mlflow.MlflowException:
        return False


def compare_logged_models(there, here, theirs, ours):
    models = {model.model_id: model for model in here.all(here.client.search_logged_models, [ours])}
    for model in there.all(there.client.search_logged_models, [theirs]):
        other = models.get(model.model_id)
        if other is None:
            differences.append(f"logged model {model.name} is not here")
            continue
        seen["logged models"] += 1
        for field in ("name", "model_type", "source_run_id", "status", "creation_timestamp", "tags", "params"):
            differ(f"{model.name} {field}", getattr(model, field), getattr(other, field))
        metrics = [
            sorted((m.key, str(value(m.value)), m.step, m.timestamp, m.run_id, m.dataset_name or "") for m in it.metrics or [])
            for it in (model, other)]
        differ(f"{model.name} metrics", *metrics)
        seen["model metrics"] += len(metrics[0])
        files = there.files(model.artifact_location)
        differ(f"{model.name} files", files, here.files(other.artifact_location))
        seen["files"] += len(files)


def compare_models(there, here):
    models = {model.name: model for model in here.all(here.client.search_registered_models)}
    for model in there.all(there.client.search_registered_models):
        other = models.get(model.name)
        if other is None:
            differences.append(f"model {model.name} is not here")
            continue
        seen["models"] += 1
        for field in ("description", "tags", "creation_timestamp"):
            differ(f"{model.name} {field}", getattr(model, field) or "", getattr(other, field) or "")
        differ(f"{model.name} aliases", *[{a: str(v) for a, v in it.aliases.items()} for it in (model, other)])
        quoted = f'"{model.name}"' if "'" in model.name else f"'{model.name}'"
        versions = {v.version: v for v in here.all(here.client.search_model_versions, f"name={quoted}")}
        mine = there.all(there.client.search_model_versions, f"name={quoted}")
        differ(f"{model.name} versions", sorted(int(v.version) for v in mine), sorted(int(v) for v in versions))
        for version in mine:
            other, name = versions.get(version.version), f"{model.name}/{version.version}"
            if other is None:
                continue
            seen["versions"] += 1
            for field in ("description", "tags", "current_stage", "run_id", "status", "creation_timestamp"):
                differ(f"{name} {field}", getattr(version, field) or "", getattr(other, field) or "")
            if name != "foreign/1":
                files = there.version_files(version)
                differ(f"{name} files", files, here.version_files(other))
                seen["version files"] += len(files)


def main(there, here):
    experiments = {e.name: e for e in here.all(here.client.search_experiments, ViewType.ALL)}
    for experiment in there.all(there.client.search_experiments, ViewType.ALL):
        other = experiments.get(experiment.name)
        if other is None:
            differences.append(f"experiment {experiment.name} is not here")
            continue
        seen["experiments"] += 1
        fields = ["lifecycle_stage", "tags"]
        fields += ["creation_time", "last_update_time"] if experiment.experiment_id != "0" else []
        for field in fields:
            differ(f"{experiment.name} {field}", getattr(experiment, field), getattr(other, field))
        compare_runs(there, here, experiment.experiment_id, other.experiment_id)
        if THIRD:
            compare_logged_models(there, here, experiment.experiment_id, other.experiment_id)
    compare_models(there, here)
    least = {"experiments": 4, "runs": 12, "points": 25_017, "datasets": 1, "files": 14, "models": 5, "versions": 5, "version files": 8}
    if THIRD:
        least |= {"logged models": 5, "outputs": 4, "model metrics": 3, "models": 6}
    print(dict(seen))
    print("\n".join(differences))
    for what, count in least.items():
        assert seen[what] >= count, f"only {seen[what]} {what} were compared"
    return 1 if differences else 0


sys.exit(main(Side(sys.argv[1]), Side(sys.argv[2])))
