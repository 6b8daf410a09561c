-- How requests for a version share runs, and what gateways answered lately.

-- Batching ------------------------------------------------------------------------------------

-- Absent: as many rows as pay, which each node measures.
ALTER TABLE model_versions
    ADD COLUMN max_batch         integer CHECK (max_batch BETWEEN 1 AND 4096),
    ADD COLUMN batch_wait_micros integer NOT NULL DEFAULT 0 CHECK (batch_wait_micros BETWEEN 0 AND 1000000);
CREATE INDEX model_versions_with_batching ON model_versions (id)
    WHERE max_batch IS NOT NULL OR batch_wait_micros > 0;

-- The log of predictions ----------------------------------------------------------------------

-- A bounded number a second of each node: failures first, then as many others as there is room for.
-- It is kept for a short while, and what a crash of Postgres takes of it is lost.
CREATE UNLOGGED TABLE prediction_log (
    -- Writers hold a lock from the first id until they commit: whoever has read one has missed none before it.
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id    uuid        NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    node_id        uuid        NOT NULL,
    at             timestamptz NOT NULL,
    -- Absent where no version was picked.
    model          text,
    version        integer,
    inference_id   text,
    request_id     text        NOT NULL,
    caller         text        NOT NULL,
    protocol       text        NOT NULL,
    code           text        NOT NULL,
    -- What was wrong in the request; never a value of it.
    field          text,
    rows           bigint      NOT NULL,
    queue_micros   bigint      NOT NULL,
    compute_micros bigint      NOT NULL,
    total_micros   bigint      NOT NULL,
    -- Predictions of this endpoint that this node answered since its row before, and that are not told.
    left_out       bigint      NOT NULL DEFAULT 0
);
CREATE INDEX prediction_log_by_endpoint ON prediction_log (endpoint_id, id);
CREATE INDEX prediction_log_by_time ON prediction_log (at);
GRANT SELECT, INSERT, DELETE ON prediction_log TO bottega_app;
