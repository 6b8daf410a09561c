-- What was imported from MLflow servers: which servers they were, and what of them is here under
-- which id of ours, so that importing again carries only what is new.

CREATE TABLE import_sources (
    id         uuid        PRIMARY KEY,
    -- Where it answers, without a slash at the end: the same address is the same server.
    url        text        NOT NULL UNIQUE CHECK (char_length(url) BETWEEN 1 AND 1000),
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL
);

-- Rows outlive what they name: what was deleted here is not carried again for nothing.
CREATE TABLE imported (
    source_id  uuid        NOT NULL REFERENCES import_sources ON DELETE CASCADE,
    kind       text        NOT NULL CHECK (kind IN ('experiment', 'run', 'logged_model', 'model', 'version', 'stage', 'alias')),
    -- As the source calls it: an id, a name, `name/3`, `name@champion`.
    theirs     text        NOT NULL CHECK (char_length(theirs) BETWEEN 1 AND 600),
    -- Our id. Of a stage or an alias: what was taken over last, to tell whether it was moved here since.
    ours       text        NOT NULL,
    -- When the source made it, in milliseconds since 1970: by it another one of the same name is told.
    born       bigint,
    -- The keys of the tags that were taken over: one that the source deletes goes here too.
    tags       text[]      NOT NULL DEFAULT '{}',
    -- What the source said of it when all of it had been carried, by a digest; null while parts are missing.
    mark       text        CHECK (char_length(mark) <= 200),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, kind, theirs)
);
CREATE INDEX imported_by_ours ON imported (kind, ours);

GRANT SELECT, INSERT, UPDATE, DELETE ON import_sources, imported TO bottega_app;
