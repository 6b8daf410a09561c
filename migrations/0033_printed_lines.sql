-- What models in processes of their own printed lately. A bounded number a second of each node, for a short
-- while; what a crash of Postgres takes of it is lost.

CREATE UNLOGGED TABLE printed_lines (
    -- Writers hold a lock from the first id until they commit: whoever has read one has missed none before it.
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version_id uuid        NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    node_id    uuid        NOT NULL,
    at         timestamptz NOT NULL,
    line       text        NOT NULL
);
CREATE INDEX printed_lines_by_version ON printed_lines (version_id, id);
CREATE INDEX printed_lines_by_time ON printed_lines (at);
GRANT SELECT, INSERT, DELETE ON printed_lines TO bottega_app;
