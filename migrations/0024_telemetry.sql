-- What is told of predictions besides: the trace that each was part of, how shadows answered, and how
-- many requests failed.

ALTER TABLE prediction_log ADD COLUMN trace_id text;

-- Shadows' distributions stand beside those of what was answered.
ALTER TABLE capture_sketches
    DROP CONSTRAINT capture_sketches_role_check,
    ADD CONSTRAINT capture_sketches_role_check
        CHECK (role IN ('input', 'output', 'shadow_input', 'shadow_output'));

-- Requests that failed, by version, minute and code. They are in no distribution.
CREATE TABLE capture_failures (
    endpoint_id uuid        NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    minute      timestamptz NOT NULL,
    version_id  uuid        NOT NULL,
    -- Whether the caller was answered by another version.
    shadow      boolean     NOT NULL,
    code        text        NOT NULL,
    requests    bigint      NOT NULL CHECK (requests > 0),
    PRIMARY KEY (endpoint_id, minute, version_id, shadow, code)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON capture_failures TO bottega_app;
