-- What a change of a model does in the database, :turns times with its audit event and as often
-- without, each in a transaction that is written to the disk. Prints the share that the event costs.
CREATE TEMPORARY TABLE taken (recorded boolean, seconds float8);
INSERT INTO models (id, name, owner, created_at, updated_at)
VALUES ('00000000-0000-0000-0000-000000000001', 'benched', 'user:admin', now(), now()) ON CONFLICT DO NOTHING;
SELECT set_config('bench.turns', :'turns', false) \g /dev/null
DO $$
DECLARE
    began timestamptz;
    model models;
BEGIN
    FOR turn IN 1 .. current_setting('bench.turns')::int * 2 LOOP
        began := clock_timestamp();
        SELECT * INTO model FROM models WHERE name = 'benched' FOR UPDATE;
        UPDATE models SET description = turn::text, updated_at = clock_timestamp() WHERE id = model.id;
        INSERT INTO outbox (at, topic, resource, payload)
        VALUES (began, 'model.edited', 'model:benched', '{"model": "benched"}');
        PERFORM pg_notify('bottega', '');
        IF turn % 2 = 0 THEN
            INSERT INTO audit_events (at, actor, address, token_id, action, resource_kind, resource, change, decision,
                                      policies, before_digest, after_digest, request_id, detail)
            VALUES (began, 'user:admin', '127.0.0.1', '00000000-0000-0000-0000-000000000001', 'edit', 'model', 'benched',
                    'model.edited', 'allowed', '{role:administrator}', sha256('a'), sha256(turn::text::bytea),
                    md5(turn::text), jsonb_build_object('model', 'benched', 'before', turn - 1, 'after', turn));
        END IF;
        COMMIT;
        INSERT INTO taken VALUES (turn % 2 = 0, extract(epoch FROM clock_timestamp() - began));
    END LOOP;
END $$;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE NOT recorded) * 1000,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE recorded) * 1000
FROM taken;
