-- Endpoints as they were: one row for each change of one; without a state for one that is gone. A
-- trigger writes it, so that nothing that changes an endpoint forgets to.

CREATE TABLE endpoint_history (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    endpoint_id uuid        NOT NULL,
    -- Its name on the wire.
    endpoint    text        NOT NULL,
    state       jsonb
);
CREATE INDEX endpoint_history_by_name ON endpoint_history (endpoint COLLATE "C", id);

-- An endpoint in words that mean the same when its model and its releases are gone.
CREATE FUNCTION endpoint_in_words(e endpoints) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'follows', (SELECT m.name || coalesce('@' || e.alias, '/' || e.stage,
                                              '/' || (SELECT number FROM model_versions WHERE id = e.pinned_version))
                    FROM models m WHERE m.id = e.model_id),
        'held', e.held,
        'blocked', e.blocked,
        'target_release', e.target_release,
        'live_release', e.live_release,
        'live_versions', CASE WHEN e.live_release IS NOT NULL THEN
            (SELECT jsonb_agg(jsonb_build_object('model', m.name, 'version', v.number, 'weight', rv.weight)
                              ORDER BY rv.weight DESC, m.name, v.number)
             FROM release_versions rv
             JOIN model_versions v ON v.id = rv.version_id
             JOIN models m ON m.id = v.model_id
             WHERE rv.endpoint_id = e.id AND rv.number = e.live_release) END
    ))
$$;

CREATE FUNCTION remember_endpoint() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    e endpoints := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    wire text := e.name || CASE e.env WHEN 'production' THEN '' ELSE '.' || e.env END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO endpoint_history (at, endpoint_id, endpoint) VALUES (now(), e.id, wire);
    ELSE
        INSERT INTO endpoint_history (at, endpoint_id, endpoint, state)
        VALUES (e.updated_at, e.id, wire, endpoint_in_words(e));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER remember_endpoint AFTER INSERT OR UPDATE OR DELETE ON endpoints
    FOR EACH ROW EXECUTE FUNCTION remember_endpoint();

INSERT INTO endpoint_history (at, endpoint_id, endpoint, state)
SELECT updated_at, id, name || CASE env WHEN 'production' THEN '' ELSE '.' || env END, endpoint_in_words(endpoints)
FROM endpoints;

GRANT SELECT, INSERT ON endpoint_history TO bottega_app;
REVOKE UPDATE, DELETE, TRUNCATE ON endpoint_history FROM bottega_app;
