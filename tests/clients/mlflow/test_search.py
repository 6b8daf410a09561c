"""Searches, their filters and orders, and the reading of metrics."""

import time

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType


@pytest.fixture
def runs(client, experiment):
    """Three runs; the first has loss 3 and so on. Ids in that order."""
    ids = []
    for i, (loss, model, team) in enumerate([(3.0, "Forest", "a"), (1.0, "boost", "b"), (2.0, "forest", None)]):
        run = client.create_run(experiment, start_time=1_700_000_000_000 + i, run_name=f"run-{i}")
        tags = [RunTag("team", team)] if team else []
        params = [Param("model", model), Param("with space", "x'y")]
        client.log_batch(run.info.run_id, [Metric("loss", loss, 1, 0), Metric("val/acc", loss / 10, 1, 0)], params, tags)
        ids.append(run.info.run_id)
    return ids


@pytest.mark.calls("POST runs/search")
@pytest.mark.parametrize("text, found", [
    ("", [0, 1, 2]),
    ("metrics.loss > 1", [0, 2]),
    ("metrics.loss >= 1 and metric.loss < 3", [1, 2]),
    ("metrics.loss = 2.0", [2]),
    ("metrics.loss != 2", [0, 1]),
    ("metrics.`val/acc` <= 1e-1", [1]),
    ("metrics.missing > 0", []),
    ("params.model = 'forest'", [2]),
    ("params.model LIKE 'For%'", [0]),
    ("params.model ILIKE 'for%'", [0, 2]),
    ("params.model != 'forest'", [0, 1]),
    ('param."with space" = "x\'y"', [0, 1, 2]),
    ("tags.team = 'a'", [0]),
    ("tags.team IS NULL", [2]),
    ("tags.team IS NOT NULL", [0, 1]),
    ("attributes.run_name = 'run-1'", [1]),
    ("run_name LIKE 'run-%' AND params.model ILIKE '%OO%'", [1]),
    ("attributes.status = 'RUNNING'", [0, 1, 2]),
    ("attributes.start_time > 1700000000000", [1, 2]),
])
def test_runs_are_found(client, experiment, runs, text, found):
    got = {r.info.run_id for r in client.search_runs([experiment], text)}
    assert got == {runs[i] for i in found}


def test_runs_are_found_by_their_ids(client, experiment, runs):
    def found(text):
        return {r.info.run_id for r in client.search_runs([experiment], text)}

    assert found(f"attributes.run_id IN ('{runs[0]}', '{runs[2]}')") == {runs[0], runs[2]}
    assert found(f"run_id NOT IN ('{runs[0]}')") == set(runs[1:])
    assert found(f"attributes.run_id = '{runs[1]}'") == {runs[1]}


@pytest.mark.parametrize("order, wanted", [
    ([], [2, 1, 0]),
    (["metrics.loss"], [1, 2, 0]),
    (["metrics.loss DESC"], [0, 2, 1]),
    (["metrics.`val/acc` ASC"], [1, 2, 0]),
    (["params.model"], [0, 1, 2]),
    (["tags.team"], [0, 1, 2]),
    (["tags.team DESC"], [1, 0, 2]),
    (["attributes.start_time ASC"], [0, 1, 2]),
    (["attribute.run_name DESC"], [2, 1, 0]),
])
def test_runs_come_in_order(client, experiment, runs, order, wanted):
    got = [r.info.run_id for r in client.search_runs([experiment], order_by=order)]
    assert got == [runs[i] for i in wanted]


def test_pages_are_followed_to_the_end(client, experiment, runs):
    got, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1, order_by=["metrics.loss"], page_token=token)
        got += [r.info.run_id for r in page]
        token = page.token
        if not token:
            break
    assert got == [runs[1], runs[2], runs[0]]


def test_deleted_runs_are_seen_by_those_who_ask(client, experiment, runs):
    client.delete_run(runs[0])

    def seen(view):
        return {r.info.run_id for r in client.search_runs([experiment], run_view_type=view)}

    assert seen(ViewType.ACTIVE_ONLY) == set(runs[1:])
    assert seen(ViewType.DELETED_ONLY) == {runs[0]}
    assert seen(ViewType.ALL) == set(runs)


@pytest.mark.parametrize("text", [
    "metrics.loss >", "metrics.loss = 'x'", "params.model = forest", "params.model = 'unbalanced",
    "metrics.loss > 1 OR metrics.loss < 0", "nonsense", "attributes.nothing = 'x'", "foo.bar = 'x'",
    "params.model > 'a'", "attributes.run_name IN ('a', 1)",
    "params.model = 'x'; DROP TABLE runs", "' OR 1=1 --", "tags.`a = 'x'",
])
def test_a_filter_that_is_none_is_refused(client, experiment, refused, text):
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], text)


def test_a_filter_with_sql_in_it_finds_nothing(client, experiment, runs):
    for value in ["x' OR '1'='1", "'; DROP TABLE runs; --", "%", "\\"]:
        quoted = value.replace('"', "")
        assert client.search_runs([experiment], f'params.model = "{quoted}"') == []
    assert len(client.search_runs([experiment])) == 3


@pytest.mark.bottega
def test_a_filter_of_a_megabyte_is_refused_at_once(raw, experiment):
    begun = time.monotonic()
    body = {"experiment_ids": [experiment], "filter": " AND ".join(["params.a = 'b'"] * 60_000)}
    answer = raw("POST", "/api/2.0/mlflow/runs/search", json=body)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text[:300]
    assert time.monotonic() - begun < 3


@pytest.mark.bottega
@pytest.mark.parametrize("token", ["forged", "AAAA", "eyJvZmZzZXQiOiAxfQ==", "x" * 10_000])
def test_a_forged_page_token_is_refused(raw, experiment, token):
    body = {"experiment_ids": [experiment], "page_token": token}
    answer = raw("POST", "/api/2.0/mlflow/runs/search", json=body)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


@pytest.mark.parametrize("many", [-1, 50_001])
def test_too_many_results_are_refused(client, experiment, refused, many):
    refused("INVALID_PARAMETER_VALUE", client.search_runs, [experiment], max_results=many)


@pytest.mark.calls("POST experiments/search")
def test_experiments_are_found(client, name):
    ids = [client.create_experiment(f"{name} {end}", tags={"n": end}) for end in ("One", "two", "three")]

    def found(text, **options):
        page = client.search_experiments(filter_string=text, **options)
        return [e.experiment_id for e in page if e.experiment_id in ids]

    assert found(f"name LIKE '{name}%'") == ids[::-1]
    assert found(f"name ILIKE '{name} o%'") == ids[:1]
    assert found(f"attribute.name = '{name} two'") == ids[1:2]
    assert found(f"tags.n = 'three' AND name LIKE '{name}%'") == ids[2:]
    assert found(f"name LIKE '{name}%'", order_by=["name DESC"]) == [ids[1], ids[2], ids[0]]
    client.delete_experiment(ids[0])
    assert found(f"name LIKE '{name}%'") == [ids[2], ids[1]]
    assert found(f"name LIKE '{name}%'", view_type=ViewType.DELETED_ONLY) == ids[:1]
    first = client.search_experiments(filter_string=f"name LIKE '{name}%'", max_results=1)
    assert [e.experiment_id for e in first] == [ids[2]] and first.token


@pytest.mark.calls("GET metrics/get-history-bulk-interval")
def test_the_points_of_several_runs_are_sampled(raw, client, experiment):
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run in runs:
        client.log_batch(run, [Metric("loss", float(i), i, i) for i in range(100)])
    arguments = {"run_ids": runs, "metric_key": "loss", "max_results": 10}
    answer = raw("GET", "/api/2.0/mlflow/metrics/get-history-bulk-interval", params=arguments)
    if answer.status_code == 404:  # MLflow serves it to its UI only
        answer = raw("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", params=arguments)
    points = answer.json()["metrics"]
    for run in runs:
        steps = [int(p["step"]) for p in points if p["run_id"] == run]
        assert steps[0] == 0 and steps[-1] == 99 and 10 <= len(steps) <= 12, steps


def shown(raw, method, path, **options):
    """What MLflow serves to its UI only, and Bottega to everybody."""
    answer = raw(method, f"/api/2.0/mlflow/{path}", **options)
    if answer.status_code == 404:
        answer = raw(method, f"/ajax-api/2.0/mlflow/{path}", **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.calls("GET metrics/get-history-bulk")
def test_the_points_of_several_runs_are_read_whole(raw, client, experiment):
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run in runs:
        client.log_batch(run, [Metric("loss", float(i), i, i) for i in range(5)])
        client.log_metric(run, "other", 1.0)
    found = shown(raw, "GET", "metrics/get-history-bulk", params={"run_id": runs, "metric_key": "loss"})["metrics"]
    points = sorted((p["run_id"], int(p["step"]), p["value"]) for p in found)
    assert points == sorted((run, i, float(i)) for run in runs for i in range(5))
    few = shown(raw, "GET", "metrics/get-history-bulk", params={"run_id": runs, "metric_key": "loss", "max_results": 3})
    assert len(few["metrics"]) == 3


@pytest.mark.calls("POST experiments/search-datasets")
def test_the_datasets_of_experiments_are_found(raw, client, experiment):
    for _ in range(2):
        run = client.create_run(experiment).info.run_id
        dataset = Dataset(name="iris", digest="d1", source_type="local", source="here")
        tag = InputTag("mlflow.data.context", "training")
        client.log_inputs(run, [DatasetInput(dataset, [tag])])
    found = shown(raw, "POST", "experiments/search-datasets", json={"experiment_ids": [experiment]})
    assert found["dataset_summaries"] == [
        {"experiment_id": experiment, "name": "iris", "digest": "d1", "context": "training"}
    ]


@pytest.mark.calls("GET experiments/search")
def test_experiments_are_found_by_a_query_string(raw, experiment, name):
    arguments = {"filter": f"name LIKE '%{name}'", "max_results": 5}
    answer = raw("GET", "/api/2.0/mlflow/experiments/search", params=arguments)
    assert [e["experiment_id"] for e in answer.json()["experiments"]] == [experiment]
