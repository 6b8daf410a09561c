-- A weight beside the quotas: how large a share of what is busy a team, or an account without one, gets.

ALTER TABLE quotas DROP CONSTRAINT quotas_key_check;
ALTER TABLE quotas ADD CONSTRAINT quotas_key_check CHECK (key IN ('models', 'versions', 'artifact_bytes', 'endpoints', 'replicas', 'requests_per_second', 'burst', 'predictions_per_month', 'captured_rows_per_day', 'tracking_points_per_day', 'weight'));
ALTER TABLE quotas ADD CONSTRAINT quotas_weight_check CHECK (key <> 'weight' OR (value IS NOT NULL AND value BETWEEN 1 AND 1000));

ALTER TABLE quota_defaults DROP CONSTRAINT quota_defaults_key_check;
ALTER TABLE quota_defaults ADD CONSTRAINT quota_defaults_key_check CHECK (key IN ('models', 'versions', 'artifact_bytes', 'endpoints', 'replicas', 'requests_per_second', 'burst', 'predictions_per_month', 'captured_rows_per_day', 'tracking_points_per_day', 'weight'));
ALTER TABLE quota_defaults ADD CONSTRAINT quota_defaults_weight_check CHECK (key <> 'weight' OR (value IS NOT NULL AND value BETWEEN 1 AND 1000));
