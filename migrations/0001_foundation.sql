-- The first schema: models and their versions, blobs, endpoints and releases, nodes and replicas,
-- tokens, the outbox and the audit trail.
--
-- Two roles, for the whole cluster: bottega_owner owns the tables and migrates them, bottega_app
-- does everything else and owns nothing. `store::migrate` makes them where it may and says what
-- to run where it may not; this block is for whoever applies the files by hand.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bottega_app') THEN
        CREATE ROLE bottega_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this cluster made it at the same moment
END $$;

-- Bytes ---------------------------------------------------------------------------------------

-- A blob's identity is its digest; where it lies is `blobs/<key>`. Collection deletes the row under
-- lock and dooms the key; a later upload of the same bytes makes a new key.
CREATE TABLE blobs (
    digest       bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
    key          uuid        NOT NULL UNIQUE,
    size         bigint      NOT NULL CHECK (size >= 0),
    created_at   timestamptz NOT NULL,
    -- When someone last uploaded these bytes or asked whether they are here: collection leaves
    -- young ones alone, since a version that names them may be on its way.
    touched_at   timestamptz NOT NULL,
    -- Set when bytes that were read did not have the digest any more: never served again.
    corrupt_at   timestamptz
);

-- Uploads in progress hold a lease; what a dead upload left behind is deleted after it. Parts that
-- were sent to S3 are no object yet: only the id of their upload gives them back.
CREATE TABLE uploads (
    id           uuid        PRIMARY KEY,
    key          uuid        NOT NULL UNIQUE,
    actor        text        NOT NULL,
    multipart_id text,
    leased_until timestamptz NOT NULL
);

-- Keys whose objects are to be deleted once nothing can still be reading them.
CREATE TABLE doomed_objects (
    key          uuid        PRIMARY KEY,
    size         bigint      NOT NULL CHECK (size >= 0),
    multipart_id text,
    delete_at    timestamptz NOT NULL
);

-- Models --------------------------------------------------------------------------------------

CREATE TABLE models (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255 AND name !~ '[/:]'),
    description  text        NOT NULL DEFAULT '' CHECK (char_length(description) <= 100000),
    owner        text        NOT NULL,
    last_version integer     NOT NULL DEFAULT 0 CHECK (last_version >= 0),
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX models_name ON models (name COLLATE "C");

CREATE TABLE model_tags (
    model_id uuid NOT NULL REFERENCES models ON DELETE CASCADE,
    key      text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 250),
    value    text NOT NULL CHECK (char_length(value) <= 100000),
    PRIMARY KEY (model_id, key)
);

CREATE TABLE model_versions (
    id              uuid        PRIMARY KEY,
    model_id        uuid        NOT NULL REFERENCES models ON DELETE CASCADE,
    number          integer     NOT NULL CHECK (number > 0),
    digest          bytea       NOT NULL CHECK (octet_length(digest) = 32),
    size            bigint      NOT NULL CHECK (size >= 0),
    status          text        NOT NULL CHECK (status IN ('pending', 'ready', 'rejected')),
    servable        text        NOT NULL CHECK (servable IN ('yes', 'no', 'checking')),
    runtime         text        NOT NULL CHECK (runtime IN ('onnx', 'none')),
    reason          text,
    -- The file that the runtime loads, and what it says of itself.
    model_file      text,
    facts           jsonb,
    signature       jsonb,
    input_example   jsonb,
    batchable       boolean     NOT NULL DEFAULT false,
    stage           text        NOT NULL DEFAULT 'None' CHECK (stage IN ('None', 'Staging', 'Production', 'Archived')),
    description     text        NOT NULL DEFAULT '' CHECK (char_length(description) <= 100000),
    run_id          text        CHECK (char_length(run_id) <= 500),
    dataset_digest  text        CHECK (char_length(dataset_digest) <= 500),
    git_commit      text        CHECK (char_length(git_commit) <= 500),
    source_url      text        CHECK (char_length(source_url) <= 2000),
    created_by      text        NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (model_id, number),
    -- So that others can demand "a version of this model" by foreign key.
    UNIQUE (model_id, id),
    CHECK ((servable = 'checking') = (status = 'pending')),
    CHECK (servable <> 'no' OR reason IS NOT NULL),
    CHECK (servable <> 'yes' OR (runtime <> 'none' AND model_file IS NOT NULL AND signature IS NOT NULL))
);
CREATE INDEX model_versions_by_digest ON model_versions (model_id, digest);

CREATE TABLE version_files (
    version_id uuid   NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    path       text   NOT NULL CHECK (char_length(path) BETWEEN 1 AND 1024),
    digest     bytea  NOT NULL REFERENCES blobs,
    size       bigint NOT NULL CHECK (size >= 0),
    PRIMARY KEY (version_id, path)
);
CREATE INDEX version_files_by_digest ON version_files (digest);

CREATE TABLE version_tags (
    version_id uuid NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    key        text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 250),
    value      text NOT NULL CHECK (char_length(value) <= 100000),
    PRIMARY KEY (version_id, key)
);

-- The trial of each pending version: a queue that survives whoever works on it.
CREATE TABLE trials (
    version_id   uuid        PRIMARY KEY REFERENCES model_versions ON DELETE CASCADE,
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    leased_until timestamptz,
    -- Tells one claim from the next, so that who lost a lease cannot renew it.
    claim        uuid,
    queued_at    timestamptz NOT NULL
);

-- An alias keeps its row and its revision when it is unset, so that revisions never repeat.
CREATE TABLE aliases (
    model_id   uuid        NOT NULL REFERENCES models ON DELETE CASCADE,
    alias      text        NOT NULL CHECK (char_length(alias) BETWEEN 1 AND 255),
    version_id uuid,
    revision   integer     NOT NULL CHECK (revision > 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (model_id, alias),
    FOREIGN KEY (model_id, version_id) REFERENCES model_versions (model_id, id)
);
CREATE INDEX aliases_by_version ON aliases (version_id);

-- Who moved it, when, from which version to which. Numbers, not references: history outlives rows.
CREATE TABLE alias_history (
    model_id     uuid        NOT NULL REFERENCES models ON DELETE CASCADE,
    alias        text        NOT NULL,
    revision     integer     NOT NULL CHECK (revision > 0),
    from_version integer,
    to_version   integer,
    reason       text,
    actor        text        NOT NULL,
    request_id   text        NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (model_id, alias, revision)
);

-- Endpoints -----------------------------------------------------------------------------------

CREATE TABLE endpoints (
    id             uuid        PRIMARY KEY,
    name           text        NOT NULL CHECK (name ~ '^[a-z0-9-]{1,63}$'),
    env            text        NOT NULL CHECK (env ~ '^[a-z0-9-]{1,63}$'),
    -- What it follows: an alias, or a pinned version where `alias` is null.
    model_id       uuid        NOT NULL REFERENCES models,
    alias          text,
    pinned_version uuid,
    -- Set by a rollback: the next moves of the alias are taken again, this one is not.
    held           boolean     NOT NULL DEFAULT false,
    -- Why it could not take the version that its alias points to.
    blocked        text,
    last_release   integer     NOT NULL DEFAULT 0 CHECK (last_release >= 0),
    -- The release that answers, and the one that is being prepared to.
    live_release   integer,
    target_release integer,
    owner          text        NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CHECK ((alias IS NULL) <> (pinned_version IS NULL)),
    FOREIGN KEY (model_id, alias) REFERENCES aliases (model_id, alias),
    FOREIGN KEY (model_id, pinned_version) REFERENCES model_versions (model_id, id)
);
CREATE UNIQUE INDEX endpoints_name ON endpoints (name COLLATE "C", env COLLATE "C");
CREATE INDEX endpoints_by_alias ON endpoints (model_id, alias);

CREATE TABLE releases (
    endpoint_id       uuid        NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    number            integer     NOT NULL CHECK (number > 0),
    state             text        NOT NULL CHECK (state IN ('progressing', 'completed', 'failed', 'aborted', 'rolled_back')),
    -- Why it was made, and why it ended the way it did.
    reason            text,
    outcome           text,
    deadline_seconds  integer     NOT NULL DEFAULT 120 CHECK (deadline_seconds BETWEEN 1 AND 86400),
    created_by        text        NOT NULL,
    request_id        text        NOT NULL,
    created_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    PRIMARY KEY (endpoint_id, number),
    CHECK ((state = 'progressing') = (finished_at IS NULL))
);
-- At most one release of an endpoint is on its way.
CREATE UNIQUE INDEX releases_progressing ON releases (endpoint_id) WHERE state = 'progressing';

ALTER TABLE endpoints
    ADD FOREIGN KEY (id, live_release) REFERENCES releases (endpoint_id, number) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (id, target_release) REFERENCES releases (endpoint_id, number) DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE release_versions (
    endpoint_id uuid    NOT NULL,
    number      integer NOT NULL,
    version_id  uuid    NOT NULL REFERENCES model_versions,
    weight      integer NOT NULL CHECK (weight BETWEEN 0 AND 100),
    PRIMARY KEY (endpoint_id, number, version_id),
    FOREIGN KEY (endpoint_id, number) REFERENCES releases ON DELETE CASCADE
);
CREATE INDEX release_versions_by_version ON release_versions (version_id);

-- Nodes ---------------------------------------------------------------------------------------

CREATE TABLE nodes (
    id           uuid        PRIMARY KEY,
    host         text        NOT NULL,
    started_at   timestamptz NOT NULL,
    leased_until timestamptz NOT NULL
);

CREATE TABLE replicas (
    node_id    uuid        NOT NULL REFERENCES nodes ON DELETE CASCADE,
    version_id uuid        NOT NULL REFERENCES model_versions ON DELETE CASCADE,
    state      text        NOT NULL CHECK (state IN ('starting', 'ready', 'draining', 'failed', 'stopped')),
    reason     text,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (node_id, version_id)
);

-- Identity ------------------------------------------------------------------------------------

-- Only keyed hashes of tokens are here; the key is not in the database.
CREATE TABLE api_tokens (
    id         uuid        PRIMARY KEY,
    hash       bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    subject    text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

-- Events --------------------------------------------------------------------------------------

-- What happened, for whoever must react. Readers take rows in order of (xid, id) and only below
-- pg_snapshot_xmin(pg_current_snapshot()): ids alone would skip rows that commit late.
CREATE TABLE outbox (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at       timestamptz NOT NULL,
    topic    text        NOT NULL,
    resource text        NOT NULL,
    payload  jsonb       NOT NULL
);
CREATE INDEX outbox_order ON outbox (xid, id);

-- One row for each change of a governed object, written in the change's own transaction.
CREATE TABLE audit_events (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid           xid8        NOT NULL DEFAULT pg_current_xact_id(),
    at            timestamptz NOT NULL,
    actor         text        NOT NULL,
    action        text        NOT NULL,
    resource_kind text        NOT NULL,
    resource      text        NOT NULL,
    change        text        NOT NULL,
    before_digest bytea       CHECK (octet_length(before_digest) = 32),
    after_digest  bytea       CHECK (octet_length(after_digest) = 32),
    request_id    text        NOT NULL,
    detail        jsonb       NOT NULL
);
CREATE INDEX audit_events_by_resource ON audit_events (resource_kind, resource, id);
CREATE INDEX audit_events_by_actor ON audit_events (actor, id);

-- Grants --------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA public TO bottega_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bottega_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO bottega_app;
-- What is recorded stays recorded: even the application itself cannot change it.
REVOKE UPDATE, DELETE ON audit_events, alias_history FROM bottega_app;
