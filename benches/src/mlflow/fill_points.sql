-- Points of the metric `curve` of each of the runs :runs (an array), from step 0 to step :last.
BEGIN;
INSERT INTO run_metrics (run_id, key, value, timestamp, step)
SELECT id, 'curve', :last / 1000.0, 1700000000000 + :last, :last FROM unnest(:'runs'::uuid[]) id;
INSERT INTO metric_points (series, step, timestamp, value)
SELECT series, n, 1700000000000 + n, n / 1000.0::float8
FROM run_metrics, generate_series(0, :last::bigint) n
WHERE key = 'curve' AND run_id = ANY (:'runs'::uuid[]);
COMMIT;
-- What autovacuum does within its next minutes.
VACUUM ANALYZE run_metrics, metric_points;
