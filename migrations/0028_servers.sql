-- Servers of others: what they are told so that they answer, and versions that one of them runs.

CREATE TABLE credentials (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL UNIQUE CHECK (char_length(name) BETWEEN 1 AND 63),
    -- Where it is sent, and nowhere else: scheme, host and port.
    origin     text        NOT NULL CHECK (char_length(origin) BETWEEN 1 AND 500),
    -- Under the platform's secret key, bound to the id.
    sealed     bytea       NOT NULL,
    updated_by text        NOT NULL,
    updated_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON credentials TO bottega_app;

ALTER TABLE model_versions
    DROP CONSTRAINT model_versions_runtime_check,
    ADD CONSTRAINT model_versions_runtime_check CHECK (runtime IN ('onnx', 'python', 'external', 'none'));
