-- Webhooks: who wants to hear of what, and every delivery that was tried.

CREATE TABLE webhooks (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 256),
    description text        CHECK (char_length(description) <= 1000),
    url         text        NOT NULL CHECK (char_length(url) BETWEEN 1 AND 500),
    status      text        NOT NULL CHECK (status IN ('ACTIVE', 'DISABLED')),
    -- Encrypted by the platform's key; absent where deliveries are not signed.
    secret      bytea,
    owner       text        NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE webhook_events (
    webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    entity     text NOT NULL,
    action     text NOT NULL,
    PRIMARY KEY (webhook_id, entity, action)
);

-- How far each reader of the outbox has come: everything up to (xid, id) is dealt with.
CREATE TABLE outbox_readers (
    name text   PRIMARY KEY,
    xid  xid8   NOT NULL,
    id   bigint NOT NULL
);

-- One row for each webhook and event. Of one webhook and one entity they go out in order of `number`.
CREATE TABLE webhook_deliveries (
    id           uuid        PRIMARY KEY,
    number       bigint      GENERATED ALWAYS AS IDENTITY,
    webhook_id   uuid        NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    entity       text        NOT NULL,
    action       text        NOT NULL,
    -- What it is about, as `model:fraud`: the order within it is kept.
    resource     text        NOT NULL,
    body         jsonb       NOT NULL,
    state        text        NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts     integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_try_at  timestamptz NOT NULL,
    leased_until timestamptz,
    claim        uuid,
    last_status  integer,
    last_error   text,
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    CHECK ((state = 'pending') = (finished_at IS NULL))
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, resource, number) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, number);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bottega_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO bottega_app;
REVOKE UPDATE, DELETE ON audit_events, alias_history, stage_history FROM bottega_app;
