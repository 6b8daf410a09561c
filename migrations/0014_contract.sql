-- What an endpoint's callers rely on: no release serves a version that does not fit.

-- An endpoint without a row has no contract yet: its next release gives it one.
CREATE TABLE endpoint_contracts (
    endpoint_id uuid        PRIMARY KEY REFERENCES endpoints ON DELETE CASCADE,
    -- Goes on when the contract is cleared.
    revision    integer     NOT NULL CHECK (revision > 0),
    -- Absent: cleared, and the next release gives the next one.
    signature   jsonb,
    -- Empty: any model. Ids without a reference: that the last of them is purged must not allow all others.
    models      uuid[]      NOT NULL DEFAULT '{}',
    set_by      text        NOT NULL,
    set_at      timestamptz NOT NULL,
    CHECK (signature IS NOT NULL OR models = '{}')
);

-- What answers today is what callers rely on.
INSERT INTO endpoint_contracts (endpoint_id, revision, signature, set_by, set_at)
SELECT DISTINCT ON (e.id) e.id, 1, v.signature, 'system:start', now()
FROM endpoints e
JOIN release_versions rv ON rv.endpoint_id = e.id AND rv.number = e.live_release
JOIN model_versions v ON v.id = rv.version_id
WHERE v.signature IS NOT NULL
ORDER BY e.id, rv.weight DESC, v.id;

GRANT SELECT, INSERT, UPDATE ON endpoint_contracts TO bottega_app;
