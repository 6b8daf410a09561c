-- The audit trail proves itself: more is told of each event, a chain of seals shows that none was
-- changed since, and grants are remembered as they were.

-- Events ----------------------------------------------------------------------------------------

ALTER TABLE audit_events
    -- Under which permission; absent for what needs none, as a login.
    ALTER COLUMN action DROP NOT NULL,
    ADD COLUMN on_behalf_of text,
    ADD COLUMN address      text,
    ADD COLUMN token_id     uuid,
    ADD COLUMN decision     text   NOT NULL DEFAULT 'allowed' CHECK (decision IN ('allowed', 'refused')),
    ADD COLUMN policies     text[] NOT NULL DEFAULT '{}';

-- The order of the chain.
CREATE INDEX audit_events_order ON audit_events (xid, id);
-- Searches go back in time.
DROP INDEX audit_events_by_resource, audit_events_by_actor;
CREATE INDEX audit_events_by_time ON audit_events (at, id);
CREATE INDEX audit_events_by_actor ON audit_events (actor, at, id);
CREATE INDEX audit_events_by_resource ON audit_events (resource_kind, resource, at, id);
CREATE INDEX audit_events_by_request ON audit_events (request_id);

-- The chain -------------------------------------------------------------------------------------

-- Each seals the events up to its last one in order of (xid, id), and names the hash of the seal
-- before it. Events are sealed once no transaction can add one before them.
CREATE TABLE audit_seals (
    number    bigint      PRIMARY KEY CHECK (number > 0),
    -- Of the seal before; zeros for the first.
    previous  bytea       NOT NULL CHECK (octet_length(previous) = 32),
    -- In the order of the chain: their ids, and 32 bytes of hash for each.
    events    bigint[]    NOT NULL CHECK (cardinality(events) > 0),
    hashes    bytea       NOT NULL CHECK (octet_length(hashes) = 32 * cardinality(events)),
    last_xid  xid8        NOT NULL,
    last_id   bigint      NOT NULL,
    -- Events in this seal and all before it.
    total     bigint      NOT NULL CHECK (total > 0),
    sealed_at timestamptz NOT NULL,
    hash      bytea       NOT NULL CHECK (octet_length(hash) = 32)
);
-- Hashes do not shrink.
ALTER TABLE audit_seals ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Signed, to be kept elsewhere: who holds one can show that the chain was cut or written anew.
CREATE TABLE audit_checkpoints (
    seal       bigint      PRIMARY KEY,
    total      bigint      NOT NULL,
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    at         timestamptz NOT NULL,
    public_key bytea       NOT NULL CHECK (octet_length(public_key) = 32),
    signature  bytea       NOT NULL CHECK (octet_length(signature) = 64)
);

-- What was written to a file and deleted here. The chain goes on from the last seal that went.
CREATE TABLE audit_archives (
    seal        bigint      PRIMARY KEY,
    first_seal  bigint      NOT NULL,
    last_xid    xid8        NOT NULL,
    last_id     bigint      NOT NULL,
    total       bigint      NOT NULL,
    events      bigint      NOT NULL,
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),
    -- Of the file's lines.
    digest      bytea       NOT NULL CHECK (octet_length(digest) = 32),
    archived_by text        NOT NULL,
    archived_at timestamptz NOT NULL,
    CHECK (first_seal <= seal)
);

-- Grants as they were ---------------------------------------------------------------------------

-- One row for each change of a grant; without a state for one that is gone. A trigger writes it, so
-- that what goes with its subject or its resource is remembered too.
CREATE TABLE grant_history (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    grant_id uuid        NOT NULL,
    state    jsonb
);
CREATE INDEX grant_history_by_grant ON grant_history (grant_id, id);

-- A grant in words that mean the same when its subject and its resource are gone.
CREATE FUNCTION grant_in_words(g grants) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'id', g.id,
        'subject', (SELECT kind || ':' || name FROM subjects WHERE id = g.subject_id),
        'effect', g.effect,
        'action', coalesce(g.action, 'role:' || g.role),
        'resource', CASE
            WHEN g.team_id IS NOT NULL THEN (SELECT 'team:' || name FROM subjects WHERE id = g.team_id)
            WHEN g.model_id IS NOT NULL THEN (SELECT 'model:' || name FROM models WHERE id = g.model_id)
            WHEN g.endpoint_id IS NOT NULL THEN
                (SELECT 'endpoint:' || name || CASE env WHEN 'production' THEN '' ELSE '.' || env END
                 FROM endpoints WHERE id = g.endpoint_id)
            WHEN g.experiment_id IS NOT NULL THEN 'experiment:' || g.experiment_id
            ELSE '*' END,
        'env', g.env,
        'alias', g.alias,
        'tag', g.tag_key || '=' || g.tag_value,
        'not_before', g.not_before,
        'expires_at', g.expires_at,
        'reason', g.reason,
        'created_by', g.created_by,
        'created_at', g.created_at
    ))
$$;

CREATE FUNCTION remember_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO grant_history (at, grant_id) VALUES (now(), OLD.id);
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO grant_history (at, grant_id, state) VALUES (NEW.created_at, NEW.id, grant_in_words(NEW));
    ELSE
        INSERT INTO grant_history (at, grant_id, state) VALUES (now(), NEW.id, grant_in_words(NEW));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER remember_grant AFTER INSERT OR UPDATE OR DELETE ON grants
    FOR EACH ROW EXECUTE FUNCTION remember_grant();

INSERT INTO grant_history (at, grant_id, state)
SELECT created_at, id, grant_in_words(grants) FROM grants;

GRANT SELECT, INSERT ON audit_seals, audit_checkpoints, audit_archives, grant_history TO bottega_app;
-- What is recorded stays recorded.
REVOKE UPDATE, DELETE, TRUNCATE
    ON audit_events, audit_seals, audit_checkpoints, audit_archives, grant_history, alias_history, stage_history
    FROM bottega_app;
