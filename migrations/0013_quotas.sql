-- How much each subject may have and send, what it used, and what that costs.

-- Limits --------------------------------------------------------------------------------------

-- A subject's own. Absent value: no limit. Absent row: what holds for its kind.
CREATE TABLE quotas (
    subject_id uuid        NOT NULL REFERENCES subjects ON DELETE CASCADE,
    key        text        NOT NULL CHECK (key IN ('models', 'versions', 'artifact_bytes', 'endpoints', 'replicas', 'requests_per_second', 'burst', 'predictions_per_month', 'captured_rows_per_day', 'tracking_points_per_day')),
    value      bigint      CHECK (value >= 0),
    set_by     text        NOT NULL,
    set_at     timestamptz NOT NULL,
    PRIMARY KEY (subject_id, key)
);

-- What holds for subjects of a kind that have no limit of their own. Absent row: no limit.
CREATE TABLE quota_defaults (
    kind   text        NOT NULL CHECK (kind IN ('user', 'team', 'service')),
    key    text        NOT NULL CHECK (key IN ('models', 'versions', 'artifact_bytes', 'endpoints', 'replicas', 'requests_per_second', 'burst', 'predictions_per_month', 'captured_rows_per_day', 'tracking_points_per_day')),
    value  bigint      CHECK (value >= 0),
    set_by text        NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE VIEW effective_quotas AS
SELECT subject_id, key, value, true AS is_own FROM quotas
UNION ALL
SELECT s.id, d.key, d.value, false
FROM subjects s JOIN quota_defaults d ON d.kind = s.kind
WHERE NOT EXISTS (SELECT FROM quotas q WHERE q.subject_id = s.id AND q.key = d.key);

-- What there is of a subject's is counted where it has a limit.
CREATE INDEX models_by_owner ON models (owner);
CREATE INDEX model_versions_by_creator ON model_versions (created_by) INCLUDE (size);
CREATE INDEX endpoints_by_owner ON endpoints (owner);

-- What flows ----------------------------------------------------------------------------------

-- The token bucket that all processes lease of. What a crash of Postgres takes is filled anew.
CREATE UNLOGGED TABLE quota_buckets (
    subject_id uuid             PRIMARY KEY REFERENCES subjects ON DELETE CASCADE,
    level      double precision NOT NULL,
    at         timestamptz      NOT NULL
);

-- How much of a quota was leased in the period that began then.
CREATE TABLE quota_counts (
    subject_id uuid        NOT NULL REFERENCES subjects ON DELETE CASCADE,
    key        text        NOT NULL,
    began_at   timestamptz NOT NULL,
    used       bigint      NOT NULL CHECK (used >= 0),
    PRIMARY KEY (subject_id, key, began_at)
);

-- Takes up to `want` tokens out of a bucket, into which `rate` a second flow until `burst` are there,
-- after `back` were given back. A clock that runs backwards lets nothing flow in, and holds nothing up.
CREATE FUNCTION lease_tokens(
    subject uuid, rate double precision, burst double precision, want double precision, back double precision,
    OUT granted double precision, OUT level double precision
) LANGUAGE plpgsql AS $$
DECLARE
    seen    quota_buckets;
    present timestamptz;
BEGIN
    INSERT INTO quota_buckets VALUES (subject, burst, clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT seen FROM quota_buckets b WHERE b.subject_id = subject FOR UPDATE;
    present := clock_timestamp();
    level := least(burst, seen.level + back + rate * greatest(0, extract(epoch FROM present - seen.at)));
    granted := greatest(0, least(want, floor(level)));
    level := level - granted;
    UPDATE quota_buckets b SET level = lease_tokens.level, at = present WHERE b.subject_id = subject;
END $$;

-- Takes up to `want` of what a quota allows in the period that began then, after `owed` was counted
-- that was used while nobody could be asked.
CREATE FUNCTION lease_count(
    subject uuid, quota text, period timestamptz, allowed bigint, want bigint, owed bigint,
    OUT granted bigint, OUT total bigint
) LANGUAGE plpgsql AS $$
DECLARE
    seen quota_counts;
BEGIN
    INSERT INTO quota_counts VALUES (subject, quota, period, 0) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT seen FROM quota_counts c
    WHERE c.subject_id = subject AND c.key = quota AND c.began_at = period FOR UPDATE;
    granted := greatest(0, least(want, allowed - seen.used - owed));
    total := seen.used + owed + granted;
    UPDATE quota_counts c SET used = total
    WHERE c.subject_id = subject AND c.key = quota AND c.began_at = period;
END $$;

-- Requests for more ---------------------------------------------------------------------------

CREATE TABLE quota_requests (
    id         uuid        PRIMARY KEY,
    subject_id uuid        NOT NULL REFERENCES subjects ON DELETE CASCADE,
    key        text        NOT NULL,
    -- Absent: no limit.
    value      bigint      CHECK (value >= 0),
    reason     text        NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 1000),
    asked_by   text        NOT NULL,
    asked_at   timestamptz NOT NULL,
    state      text        NOT NULL CHECK (state IN ('open', 'granted', 'refused')),
    decided_by text,
    decided_at timestamptz,
    decision   text        CHECK (char_length(decision) BETWEEN 1 AND 1000),
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK ((state = 'open') = (decided_by IS NULL))
);
CREATE INDEX quota_requests_by_state ON quota_requests (state, id);
CREATE UNIQUE INDEX quota_requests_open ON quota_requests (subject_id, key) WHERE state = 'open';

-- Use -----------------------------------------------------------------------------------------

-- By name, so that it outlives what it was used of. A day is UTC's.
CREATE TABLE usage_daily (
    day            date   NOT NULL,
    subject        text   NOT NULL,
    model          text   NOT NULL,
    -- Empty for what is used without one.
    endpoint       text   NOT NULL DEFAULT '',
    team           text   NOT NULL DEFAULT '',
    requests       bigint NOT NULL DEFAULT 0,
    rows           bigint NOT NULL DEFAULT 0,
    errors         bigint NOT NULL DEFAULT 0,
    cpu_micros     bigint NOT NULL DEFAULT 0,
    bytes_in       bigint NOT NULL DEFAULT 0,
    bytes_out      bigint NOT NULL DEFAULT 0,
    -- The most bytes of the model's files that were the subject's on that day.
    artifact_bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, subject, model, endpoint, team)
);
CREATE INDEX usage_daily_by_subject ON usage_daily (subject, day);
CREATE INDEX usage_daily_by_team ON usage_daily (team, day) WHERE team <> '';

-- The last part of its counts that a process wrote, so that one sent twice counts once.
CREATE TABLE usage_flushes (
    node_id    uuid        PRIMARY KEY,
    epoch      bigint      NOT NULL,
    flushed_at timestamptz NOT NULL
);

-- What one unit of use costs.
CREATE TABLE usage_prices (
    unit     text          PRIMARY KEY CHECK (unit IN ('requests', 'rows', 'cpu_seconds', 'bytes_in', 'bytes_out', 'artifact_byte_days')),
    price    numeric(30, 18) NOT NULL CHECK (price >= 0),
    currency text          NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    set_by   text          NOT NULL,
    set_at   timestamptz   NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON quotas, quota_defaults, quota_buckets, quota_counts, quota_requests, usage_daily, usage_flushes, usage_prices TO bottega_app;
GRANT SELECT ON effective_quotas TO bottega_app;
