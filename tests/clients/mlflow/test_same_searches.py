"""Searches find the same, in the same order, page by page, as in MLflow's own store, which is filled
with the same things in this process. The questions are made from a grammar, the same ones every time.

By hand, for longer: BOTTEGA_SEARCHES=3000 BOTTEGA_RUNS=300 python -m pytest test_same_searches.py
"""

import itertools
import os
import random
import re
import tempfile
import uuid

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelParameter, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry import sqlalchemy_store as registry_store
from mlflow.store.tracking import sqlalchemy_store as tracking_store

SEARCHES = int(os.environ.get("BOTTEGA_SEARCHES", "60"))
RUNS = int(os.environ.get("BOTTEGA_RUNS", "32"))
MARK = uuid.uuid4().hex[:8]
NUMBERS = [0.0, 1.0, 1.0, -1.0, 0.5, 1e-9, 1e300, float("nan"), float("inf"), float("-inf"), None, None]
TEXTS = ["a", "A", "b", "ä", "Ä", "a b", "a'b", "%", "_", "10", "9", "", "学習", "x" * 300, None, None]
STATUSES = ["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]


class Side:
    """A server and what it holds; `names` tells its ids by the names that both sides share."""

    def __init__(self, client):
        self.client, self.names = client, {}

    def named(self, name, thing_id):
        self.names[thing_id] = name

    def own(self, text):
        """A question with the ids of this side in place of `<name>`."""
        ids = {name: thing_id for thing_id, name in self.names.items()}
        return re.sub(r"<([\w-]+)>", lambda match: str(ids[match[1]]), text) if text else text


def fill(side):
    """The same on both sides, in the same order; the order of ids is that of their making."""
    client, chance = side.client, random.Random(7)
    for i in range(4):
        tags = {"team": ["risk", "Risk", "fraud", None][i]} if i < 3 else {}
        side.named(f"e{i}", client.create_experiment(f"{MARK} {'aAbB'[i]} {i}", tags=tags))
    side.experiments = [thing_id for thing_id, name in side.names.items()]
    home, other = side.experiments[:2]
    for i in range(RUNS):
        name = f"r{i}"
        run_name = chance.choice(["run", "Run", "ä run", f"run-{i}"])
        run = client.create_run(other if i % 7 == 0 else home, start_time=1000 + i // 3, run_name=run_name)
        run_id = run.info.run_id
        side.named(name, run_id)
        metrics = [(key, chance.choice(NUMBERS)) for key in ("m", "a/b c")]
        texts = [(key, chance.choice(TEXTS)) for key in ("p", "Q r", "t", "T.u")]
        client.log_batch(
            run_id,
            [Metric(key, value, 1, step) for key, value in metrics if value is not None for step in (1, 0)][::-1],
            [Param(key, value) for key, value in texts[:2] if value is not None],
            [RunTag(key, value) for key, value in texts[2:] if value is not None],
        )
        if i % 4 == 0:
            data = Dataset(f"d{i % 3}", f"digest{i % 2}", "local", "here")
            client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "train" if i % 8 else "eval")])])
        if i % 5:
            client.set_terminated(run_id, STATUSES[i % 5], 2000 + i % 6)
        if i % 11 == 10:
            client.delete_run(run_id)
    runs = [thing_id for thing_id, name in side.names.items() if name.startswith("r")]
    for i in range(RUNS // 4):
        params = {"p": chance.choice(TEXTS[:8]), "q": str(i % 3)}
        model = client.create_logged_model(
            home, name=f"model-{i % 5}", source_run_id=runs[i % 3], params=params,
            tags={"t": chance.choice(["a", "B", "ä"])}, model_type=["Agent", "ml"][i % 2],
        )
        side.named(f"m{i}", model.model_id)
        for key in ("m", "acc"):
            for step, dataset in enumerate((None, "d0", "d1")):
                value = chance.choice(NUMBERS[:7] + [None])
                if value is not None:
                    digest = dataset and f"g-{dataset}"
                    client.log_metric(runs[i % 3], key, value, 1, 3 * i + step, model_id=model.model_id, dataset_name=dataset, dataset_digest=digest)
        if i % 3:
            client.finalize_logged_model(model.model_id, "READY" if i % 3 == 1 else "FAILED")
    for i in range(9):
        name = f"{MARK}-{'bBaAäÄcCd'[i]}-{i}"
        tags = {"t": "aAb"[i % 3]} if i % 4 else {}
        client.create_registered_model(name, tags=tags)
        for j in range(i % 4):
            tags = {"t": "aAb"[j % 3], "n": str(j)} if (i + j) % 3 else {}
            client.create_model_version(name, f"s3://bucket/{'aAb'[j]}/{i}", runs[j] if j else None, tags=tags)
        if i % 2:
            client.update_registered_model(name, "later")


@pytest.fixture(scope="module")
def sides():
    counted = itertools.count(1)
    patch = pytest.MonkeyPatch()
    # Ids of ours ascend; MLflow's are random, and break ties.
    patch.setattr(tracking_store.uuid, "uuid4", lambda: uuid.UUID(int=next(counted)))
    ticks = itertools.count(1_700_000_000_000)
    for module in (tracking_store, registry_store):
        patch.setattr(module, "get_current_time_millis", lambda: next(ticks))
    # In memory where that is a folder: it is not the disk that is compared.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        uri = f"sqlite:///{folder}/reference.db"
        reference = Side(MlflowClient(uri, uri))
        fill(reference)
        patch.undo()
        ours = Side(MlflowClient())
        fill(ours)
        yield ours, reference


def quoted(chance, text):
    return "'" + text.replace("'", "\\'") + "'" if chance.random() < 0.9 else f'"{text}"'


NAMES = {
    "runs": {
        "number": ["metrics.m", "metric.`a/b c`", "metrics.none", 'metrics."m"'],
        "text": ["params.p", "params.`Q r`", "tags.t", "tag.`T.u`", "params.none", "attributes.run_name", "attr.status",
                 "user_id", "attribute.artifact_uri", "tags.`mlflow.runName`", "run_name", "dataset.name", "datasets.digest",
                 "dataset.context"],
        "time": ["start_time", "attributes.end_time", "created"],
        "id": ["run_id", "attributes.run_id"],
        "ids": [f"<r{i}>" for i in range(6)] + ["none"],
    },
    "experiments": {
        "number": [],
        "text": ["name", "attribute.name", "tags.team", "tag.none"],
        "time": ["creation_time", "last_update_time"],
        "id": ["experiment_id", "attribute.experiment_id"],
        "ids": ["<e0>", "<e1>", "999999"],
    },
    "models": {"number": [], "text": ["name", "tags.t", "tag.none"], "time": [], "id": [], "ids": []},
    "versions": {
        "number": ["version_number", "attribute.version_number"],
        "text": ["name", "tags.t", "tag.n", "source_path"],
        "time": [], "id": ["run_id"], "ids": ["<r1>", "<r2>", "none"],
    },
    "logged_models": {
        "number": ["metrics.m", "metrics.acc", "metrics.none"],
        "text": ["name", "attributes.model_type", "params.p", "params.q", "tags.t", "status"],
        "time": ["creation_time", "creation_timestamp", "last_updated_timestamp"],
        "id": ["model_id", "source_run_id"],
        "ids": ["<m0>", "<m1>", "<r0>", "<r1>"],
    },
}
ORDERS = {
    "runs": ["metrics.m", "metric.`a/b c`", "params.p", "param.`Q r`", "tags.t", "tags.`T.u`", "start_time", "attributes.end_time",
             "attributes.status", "run_name", "attribute.run_id", "Created", "metrics.none", "user_id"],
    "experiments": ["name", "experiment_id", "creation_time", "last_update_time", "attribute.name", "tags.team"],
    "models": ["name", "creation_timestamp", "last_updated_timestamp", "timestamp", "tags.t"],
    "versions": ["name", "version_number", "creation_timestamp", "last_updated_timestamp", "run_id"],
    "logged_models": ["metrics.m", "metrics.acc", "creation_timestamp", "name", "last_updated_timestamp", "status", "params.p"],
}
ODD = ["metrics.m", "m > 1", "metrics.m > 'a'", "tags.t > 'a'", "params.p = 1", "name ! 'a'", "OR = 1", "tags.t = 'a' OR tags.t = 'b'",
       "(tags.t = 'a')", "tags.t = 'a' AND", "AND tags.t = 'a'", "tags.t == 'a'", "tags.t = ", "'a' = tags.t", "nonsense.x = 'a'",
       "tags.t IN ('a', 'b')", "name IN ('a')", "run_id IN ()", "run_id IN 'a'", "tags.t LIKE 1", "metrics.m LIKE 'a'",
       "start_time = 'a'", "start_time > '1000'", "status = 'finished'", "tags.t = a", "tags.t = 'a", ";",
       "tags.t = 'a';", "creation_time > 1", "attributes.start_time IS NULL", "metrics.m IS NULL", "tags.t IS NOT NULL", "-- x"]


def condition(chance, subject):
    names = NAMES[subject]
    kind = chance.choice([kind for kind in ("number", "number", "text", "text", "text", "time", "id") if names[kind]])
    name = chance.choice(names[kind])
    if kind == "number":
        return f"{name} {chance.choice(['=', '!=', '<', '<=', '>', '>='])} {chance.choice(['0', '1', '1.0', '-1', '0.5', '1e-9', '2'])}"
    if kind == "time":
        return f"{name} {chance.choice(['=', '!=', '<', '<=', '>', '>='])} {chance.choice([0, 1003, 1009, 2003])}"
    if kind == "id":
        if chance.random() < 0.4:
            some = ", ".join(f"'{each}'" for each in chance.sample(names["ids"], 2))
            return f"{name} {chance.choice(['IN', 'NOT IN', *(['in'] if subject == 'runs' else [])])} ({some})"
        return f"{name} {chance.choice(['=', '!='])} '{chance.choice(names['ids'])}'"
    # In small letters MLflow knows words in filters of runs only; we know them everywhere.
    comparator = chance.choice(["=", "=", "!=", "LIKE", "ILIKE", "like" if subject == "runs" else "LIKE", "IS NULL", "IS NOT NULL"])
    if comparator.startswith("IS"):
        return f"{name} {comparator}"
    texts = [text for text in TEXTS if text is not None and len(text) < 10] + STATUSES + ["d0", "digest1", "train", "run", "risk"]
    text = chance.choice(texts)
    if "IKE" in comparator.upper():
        text = chance.choice(["%", "a%", "%B", "%u%", "_", "a_b", "Ä%", "%'%", "R%", "%1%", f"{MARK}%", "s3://%/A/%"])
    return f"{name} {comparator} {quoted(chance, text)}"


def question(chance, subject):
    """A filter, keys to order by, and how long pages are."""
    if chance.random() < 0.12:
        text = chance.choice(ODD)
    else:
        text = chance.choice([" AND ", " and "]).join(condition(chance, subject) for _ in range(chance.choice([0, 1, 1, 1, 2, 3])))
    order = []
    for key in chance.sample(ORDERS[subject], chance.choice([0, 0, 1, 1, 2])):
        order.append(key + chance.choice(["", " ASC", " DESC", " desc"]) + (" x" if chance.random() < 0.02 else ""))
    return text, order, chance.choice([1000, 1000, 2, 3, 7]), chance.choice([ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY])


def ask(side, subject, text, order, size, view):
    """The names that are found, in their order; or the code that the question is refused by."""
    client, text = side.client, side.own(text)
    calls = {
        "runs": lambda token: client.search_runs(side.experiments[:2], text, view, size, order, token),
        "experiments": lambda token: client.search_experiments(view, size, text, order, token),
        "models": lambda token: client.search_registered_models(text, min(size, 1000), order, token),
        "versions": lambda token: client.search_model_versions(text, size, order, token),
        "logged_models": lambda token: client.search_logged_models(
            side.experiments[:2], text or None, None, size,
            [{"field_name": key.split()[0], "ascending": not key.lower().endswith("desc")} for key in order] or None, token),
    }
    shown = {
        "runs": lambda run: side.names[run.info.run_id],
        "experiments": lambda experiment: side.names.get(experiment.experiment_id),
        "models": lambda model: model.name if model.name.startswith(MARK) else None,
        "versions": lambda version: f"{version.name}/{version.version}" if version.name.startswith(MARK) else None,
        "logged_models": lambda model: side.names[model.model_id],
    }
    found, token = [], None
    try:
        while True:
            page = calls[subject](token)
            assert len(page) <= size
            found += [shown[subject](each) for each in page]
            token = page.token
            if not token:
                # What other tests made is not there on both sides.
                return [name for name in found if name]
    except MlflowException as error:
        return error.error_code
    except (ValueError, AttributeError, TypeError, IndexError):
        # Some questions are more than MLflow's parser can bear: its server answers 500.
        return "INTERNAL_ERROR"


@pytest.mark.parametrize("subject", list(NAMES))
def test_searches_find_what_mlflow_finds(sides, subject):
    chance = random.Random(subject)
    different = []
    for _ in range(SEARCHES):
        asked = question(chance, subject)
        ours, theirs = (ask(side, subject, *asked) for side in sides)
        if theirs == "INTERNAL_ERROR":
            theirs = "INVALID_PARAMETER_VALUE"
        if ours != theirs:
            different.append(f"{asked}\n   ours {ours}\n theirs {theirs}")
    assert not different, f"{len(different)} of {SEARCHES}:\n" + "\n".join(different[:40])


def test_what_is_made_between_two_pages_neither_repeats_nor_hides_a_run(client, experiment):
    def make(start_time):
        return client.create_run(experiment, start_time=start_time).info.run_id

    before = {make(1000 + i // 2) for i in range(9)}
    seen, token, late = [], None, set()
    while True:
        page = client.search_runs([experiment], max_results=2, page_token=token)
        seen += [run.info.run_id for run in page]
        token = page.token
        if not token:
            break
        late |= {make(5000), make(1002), make(1)}
    assert len(seen) == len(set(seen)) and before <= set(seen) <= before | late
