-- What is captured of predictions: what each endpoint's owner says about it, sketches by the minute,
-- and the files of kept rows.

CREATE TABLE endpoint_capture (
    endpoint_id       uuid             PRIMARY KEY REFERENCES endpoints ON DELETE CASCADE,
    revision          integer          NOT NULL CHECK (revision > 0),
    rate              double precision NOT NULL CHECK (rate BETWEEN 0 AND 1),
    sketches          boolean          NOT NULL,
    -- [{"input": …, "how": "drop"|"hash"}]
    masks             jsonb            NOT NULL,
    subject           text,
    retention_seconds bigint           NOT NULL CHECK (retention_seconds > 0),
    set_by            text             NOT NULL,
    set_at            timestamptz      NOT NULL
);

-- One row for each column of each version behind each endpoint in each minute. The bytes are the
-- monitor's; versions are told by id and number, since their sketches outlive them.
CREATE TABLE capture_sketches (
    endpoint_id uuid        NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    minute      timestamptz NOT NULL,
    version_id  uuid        NOT NULL,
    role        text        NOT NULL CHECK (role IN ('input', 'output')),
    name        text        NOT NULL,
    rows        bigint      NOT NULL CHECK (rows >= 0),
    sketch      bytea       NOT NULL,
    PRIMARY KEY (endpoint_id, minute, version_id, role, name)
);

-- The number of the last part that each gateway wrote, so that a part that is sent twice counts once.
CREATE TABLE capture_flushes (
    node_id    uuid        PRIMARY KEY,
    epoch      bigint      NOT NULL,
    flushed_at timestamptz NOT NULL
);

-- Files of kept rows. `ids` and `subjects` are keyed hashes, so that an index finds the files that
-- hold an inference or a subject, and nobody learns either from the index.
CREATE TABLE capture_segments (
    id          uuid        PRIMARY KEY,
    endpoint_id uuid        NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    version_id  uuid        NOT NULL,
    from_at     timestamptz NOT NULL,
    to_at       timestamptz NOT NULL,
    rows        bigint      NOT NULL CHECK (rows > 0),
    bytes       bigint      NOT NULL CHECK (bytes > 0),
    digest      bytea       NOT NULL REFERENCES blobs,
    ids         bigint[]    NOT NULL,
    subjects    bigint[]    NOT NULL,
    written_at  timestamptz NOT NULL,
    CHECK (from_at <= to_at)
);
CREATE INDEX capture_segments_by_endpoint ON capture_segments (endpoint_id, id);
CREATE INDEX capture_segments_by_digest ON capture_segments (digest);
CREATE INDEX capture_segments_by_inference ON capture_segments USING gin (ids) WITH (fastupdate = off);
CREATE INDEX capture_segments_by_subject ON capture_segments USING gin (subjects) WITH (fastupdate = off);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON endpoint_capture, capture_sketches, capture_flushes, capture_segments TO bottega_app;
