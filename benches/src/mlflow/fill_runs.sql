-- :runs runs in the experiment :experiment, each with 5 metrics, 5 params and 4 tags, as fill.py
-- makes them in MLflow's database.
BEGIN;
CREATE TEMPORARY TABLE numbers AS
    SELECT n, md5(n::text)::uuid AS id FROM generate_series(1, :runs) n;
INSERT INTO runs (id, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, owner, created_at, updated_at)
SELECT id, :experiment, 'run-' || n, 'ana', 'FINISHED', 1700000000000 + n * 1000::bigint, 1700000000500 + n * 1000::bigint,
       'mlflow-artifacts:/' || :experiment || '/' || md5(n::text) || '/artifacts', 'user:admin', now(), now()
FROM numbers;
INSERT INTO run_metrics (run_id, key, value, timestamp, step)
SELECT id, key, ('x' || left(md5(n || ':' || k), 4))::bit(16)::integer::float8 / 65536, 1700000000000 + n * 1000::bigint, 1
FROM numbers, unnest('{accuracy,loss,f1,auc,seconds}'::text[]) WITH ORDINALITY AS of (key, k);
INSERT INTO metric_points (series, step, timestamp, value)
SELECT series, step, timestamp, value FROM run_metrics JOIN numbers ON id = run_id;
INSERT INTO run_params (run_id, key, value)
SELECT id, key, (n % (k * 10))::text
FROM numbers, unnest('{lr,depth,seed,size}'::text[]) WITH ORDINALITY AS of (key, k)
UNION ALL
SELECT id, 'optimizer', ('{adam,sgd,adagrad}'::text[])[n % 3 + 1] FROM numbers;
INSERT INTO run_tags (run_id, key, value)
SELECT id, key, value
FROM numbers, LATERAL (VALUES ('team', 'team-' || n % 20), ('batch', (n % 1000)::text),
                              ('mlflow.runName', 'run-' || n), ('mlflow.user', 'ana')) AS of (key, value);
COMMIT;
-- What autovacuum does within its next minutes.
VACUUM ANALYZE runs, run_metrics, metric_points, run_params, run_tags;
