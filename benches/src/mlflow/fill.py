"""Fills the SQLite database of an `mlflow server` with what `fill_runs.sql` and `fill_points.sql`
put into ours, row for row: fill.py DATABASE runs EXPERIMENT RUNS, or DATABASE points RUN POINTS."""

import hashlib
import sqlite3
import sys

METRICS = ["accuracy", "loss", "f1", "auc", "seconds"]
PARAMS = ["lr", "depth", "seed", "size"]
START = 1_700_000_000_000


def value(run, metric):
    return int(hashlib.md5(f"{run}:{metric}".encode()).hexdigest()[:4], 16) / 65536


def runs(database, experiment, count):
    ids = [hashlib.md5(str(n).encode()).hexdigest() for n in range(1, count + 1)]
    numbered = list(enumerate(ids, 1))
    database.executemany(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
        " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
        " VALUES (?, ?, 'UNKNOWN', '', '', 'ana', 'FINISHED', ?, ?, '', 'active', ?, ?)",
        ((run, f"run-{n}", START + n * 1000, START + n * 1000 + 500, f"mlflow-artifacts:/{experiment}/{run}/artifacts", experiment) for n, run in numbered),
    )
    for table in ("metrics", "latest_metrics"):
        database.executemany(
            f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, 1, 0, ?)",
            ((key, value(n, k), START + n * 1000, run) for n, run in numbered for k, key in enumerate(METRICS, 1)),
        )
    database.executemany(
        "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
        ((key, text, run) for n, run in numbered for key, text in
         [(key, str(n % (k * 10))) for k, key in enumerate(PARAMS, 1)] + [("optimizer", ["adam", "sgd", "adagrad"][n % 3])]),
    )
    database.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
        ((key, text, run) for n, run in numbered for key, text in
         [("team", f"team-{n % 20}"), ("batch", str(n % 1000)), ("mlflow.runName", f"run-{n}"), ("mlflow.user", "ana")]),
    )


def points(database, run, count):
    database.executemany(
        "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('curve', ?, ?, ?, 0, ?)",
        ((step / 1000, START + step, step, run) for step in range(count)),
    )
    database.execute(
        "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES ('curve', ?, ?, ?, 0, ?)",
        ((count - 1) / 1000, START + count - 1, count - 1, run),
    )


database = sqlite3.connect(sys.argv[1], timeout=60)
with database:
    {"runs": runs, "points": points}[sys.argv[2]](database, sys.argv[3], int(sys.argv[4]))
