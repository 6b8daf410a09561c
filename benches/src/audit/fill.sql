-- :events events of a thousand actors over the last year, in the order in which they happened.
INSERT INTO audit_events (at, actor, address, token_id, action, resource_kind, resource, change, decision, policies,
                          before_digest, after_digest, request_id, detail)
SELECT now() - interval '365 days' * (:events - n) / :events, 'user:u' || n % 1000, '10.0.0.' || n % 250,
       md5((n % 2000)::text)::uuid, 'edit', 'model', 'm' || n % 5000, 'model.edited', 'allowed',
       '{role:data-scientist}', sha256(n::text::bytea), sha256((n + 1)::text::bytea), md5(n::text),
       jsonb_build_object('model', 'm' || n % 5000, 'before', jsonb_build_object('description', n),
                          'after', jsonb_build_object('description', n + 1))
FROM generate_series(1, :events) n;
VACUUM ANALYZE audit_events;
