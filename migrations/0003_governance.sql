-- What the registry knows besides files: where a version comes from and what would run it, stages
-- and their history, promotion rules, soft deletion.

-- Deletion is soft: what is deleted can be restored until its retention time is over.
ALTER TABLE models
    ADD COLUMN deleted_at timestamptz,
    -- MLflow's four unless the team has its own; `None` is where versions begin.
    ADD COLUMN stages     text[] NOT NULL DEFAULT '{None,Staging,Production,Archived}'
        CHECK ('None' = ANY (stages) AND cardinality(stages) BETWEEN 1 AND 20);
DROP INDEX models_name;
-- A deleted model gives its name free.
CREATE UNIQUE INDEX models_name ON models (name COLLATE "C") WHERE deleted_at IS NULL;

ALTER TABLE model_versions
    DROP CONSTRAINT model_versions_runtime_check,
    DROP CONSTRAINT model_versions_stage_check,
    ADD CONSTRAINT model_versions_runtime_check CHECK (runtime IN ('onnx', 'python', 'none')),
    ADD CONSTRAINT model_versions_stage_check CHECK (char_length(stage) BETWEEN 1 AND 100),
    ADD COLUMN deleted_at      timestamptz,
    -- As whoever registered it said where it lies: a URI, ours or a foreign one. Foreign bytes are not here.
    ADD COLUMN source          text CHECK (char_length(source) <= 2048),
    ADD COLUMN is_external     boolean NOT NULL DEFAULT false,
    ADD COLUMN logged_model_id uuid,
    ADD COLUMN run_link        text CHECK (char_length(run_link) <= 2048),
    -- What an `MLmodel` file says: flavours by name, and the module that loads it in Python.
    ADD COLUMN flavors         jsonb,
    ADD COLUMN loader_module   text,
    -- What the scan of pickled files found: null while there is none to scan or none was done.
    ADD COLUMN findings        jsonb;
CREATE INDEX model_versions_by_run ON model_versions (run_id);
CREATE INDEX model_versions_by_logged_model ON model_versions (logged_model_id);

-- Who moved a version to which stage. Like alias_history: numbers, not references.
CREATE TABLE stage_history (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id     uuid        NOT NULL REFERENCES models ON DELETE CASCADE,
    version      integer     NOT NULL,
    from_stage   text        NOT NULL,
    to_stage     text        NOT NULL,
    reason       text,
    actor        text        NOT NULL,
    request_id   text        NOT NULL,
    at           timestamptz NOT NULL
);
CREATE INDEX stage_history_by_model ON stage_history (model_id, id);

-- An endpoint follows an alias, or the newest version in a stage, or is pinned.
ALTER TABLE endpoints
    DROP CONSTRAINT endpoints_check,
    ADD COLUMN stage text,
    ADD CONSTRAINT endpoints_follows_one CHECK (num_nonnulls(alias, stage, pinned_version) = 1);
CREATE INDEX endpoints_by_stage ON endpoints (model_id, stage);

-- What a version must show before an alias or a stage may move to it.
CREATE TABLE promotion_rules (
    id         uuid        PRIMARY KEY,
    model_id   uuid        NOT NULL REFERENCES models ON DELETE CASCADE,
    -- The alias or stage that it guards; null guards all of them.
    target     text        CHECK (char_length(target) BETWEEN 1 AND 255),
    -- As its author wrote it: `accuracy >= 0.9`.
    rule       text        NOT NULL CHECK (char_length(rule) BETWEEN 1 AND 1000),
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX promotion_rules_by_model ON promotion_rules (model_id);

-- What holds for the whole platform and is changed while it runs.
CREATE TABLE platform_settings (
    key        text        PRIMARY KEY,
    value      jsonb       NOT NULL,
    updated_by text        NOT NULL,
    updated_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bottega_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO bottega_app;
REVOKE UPDATE, DELETE ON audit_events, alias_history, stage_history FROM bottega_app;
