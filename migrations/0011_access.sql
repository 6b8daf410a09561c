-- Who may act, what they own, and what they may do.

-- Subjects ------------------------------------------------------------------------------------

-- Whoever a grant, a quota or a token may be given to. Names are for good: who is gone is disabled.
CREATE TABLE subjects (
    id           uuid        PRIMARY KEY,
    kind         text        NOT NULL CHECK (kind IN ('user', 'team', 'service')),
    name         text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
    -- What names that look alike have in common: two of a kind never share one.
    skeleton     text        NOT NULL CHECK (skeleton <> ''),
    display_name text        NOT NULL DEFAULT '' CHECK (char_length(display_name) <= 255),
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL,
    disabled_at  timestamptz
);
CREATE UNIQUE INDEX subjects_name ON subjects (kind, name COLLATE "C");
CREATE UNIQUE INDEX subjects_skeleton ON subjects (kind, skeleton COLLATE "C");

-- What only a user or a service account has. The team that owns what they make unless they say.
CREATE TABLE accounts (
    id                   uuid        PRIMARY KEY REFERENCES subjects ON DELETE CASCADE,
    home_team            uuid        REFERENCES subjects ON DELETE SET NULL,
    email                text        CHECK (char_length(email) <= 320),
    -- argon2id, in PHC form; absent where they cannot log in by password.
    password_hash        text,
    must_change_password boolean     NOT NULL DEFAULT false,
    password_changed_at  timestamptz
);

CREATE TABLE team_members (
    team_id   uuid        NOT NULL REFERENCES subjects ON DELETE CASCADE,
    member_id uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    added_by  text        NOT NULL,
    added_at  timestamptz NOT NULL,
    PRIMARY KEY (team_id, member_id)
);
CREATE INDEX team_members_by_member ON team_members (member_id);

-- Tokens --------------------------------------------------------------------------------------

ALTER TABLE api_tokens
    ADD COLUMN subject_id   uuid        REFERENCES subjects ON DELETE CASCADE,
    -- The part of it that may be shown; absent for one that was given to us.
    ADD COLUMN prefix       text        CHECK (char_length(prefix) <= 32),
    -- `ACTION` or `ACTION:RESOURCE`; absent: all that its holder may do.
    ADD COLUMN scopes       text[],
    ADD COLUMN created_by   text        NOT NULL DEFAULT 'system:start',
    ADD COLUMN last_used_at timestamptz;

-- Owners --------------------------------------------------------------------------------------

-- What no team owns is reached by grants on everything alone.
ALTER TABLE models      ADD COLUMN team_id uuid REFERENCES subjects;
ALTER TABLE endpoints   ADD COLUMN team_id uuid REFERENCES subjects;
ALTER TABLE experiments ADD COLUMN team_id uuid REFERENCES subjects;
CREATE INDEX models_by_team ON models (team_id);
CREATE INDEX endpoints_by_team ON endpoints (team_id);
CREATE INDEX experiments_by_team ON experiments (team_id);

-- Grants --------------------------------------------------------------------------------------

CREATE TABLE grants (
    id            uuid        PRIMARY KEY,
    subject_id    uuid        NOT NULL REFERENCES subjects ON DELETE CASCADE,
    effect        text        NOT NULL CHECK (effect IN ('allow', 'deny')),
    -- One action, or all of a role.
    action        text        CHECK (action IN ('view', 'register', 'edit', 'promote', 'deploy', 'configure', 'shift', 'invoke', 'delete', 'view-data', 'administer', 'audit')),
    role          text        CHECK (role IN ('viewer', 'data-scientist', 'operator', 'auditor', 'administrator')),
    -- On one thing, on all that a team owns, or (all absent) on everything.
    team_id       uuid        REFERENCES subjects ON DELETE CASCADE,
    model_id      uuid        REFERENCES models ON DELETE CASCADE,
    endpoint_id   uuid        REFERENCES endpoints ON DELETE CASCADE,
    experiment_id bigint      REFERENCES experiments ON DELETE CASCADE,
    -- Only in this environment, for this alias, for what carries this tag, in this time.
    env           text        CHECK (env ~ '^[a-z0-9-]{1,63}$'),
    alias         text        CHECK (char_length(alias) BETWEEN 1 AND 255),
    tag_key       text        CHECK (char_length(tag_key) BETWEEN 1 AND 250),
    tag_value     text        CHECK (char_length(tag_value) <= 5000),
    not_before    timestamptz,
    expires_at    timestamptz,
    reason        text        CHECK (char_length(reason) <= 1000),
    created_by    text        NOT NULL,
    created_at    timestamptz NOT NULL,
    CHECK ((action IS NULL) <> (role IS NULL)),
    CHECK (num_nonnulls(team_id, model_id, endpoint_id, experiment_id) <= 1),
    CHECK ((tag_key IS NULL) = (tag_value IS NULL)),
    CHECK (not_before IS NULL OR expires_at IS NULL OR not_before < expires_at)
);
CREATE INDEX grants_by_subject ON grants (subject_id);
CREATE INDEX grants_by_team ON grants (team_id) WHERE team_id IS NOT NULL;
CREATE INDEX grants_by_model ON grants (model_id) WHERE model_id IS NOT NULL;
CREATE INDEX grants_by_endpoint ON grants (endpoint_id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX grants_by_experiment ON grants (experiment_id) WHERE experiment_id IS NOT NULL;

-- Policies that an administrator wrote, beside those of the roles.
CREATE TABLE policies (
    name       text        PRIMARY KEY CHECK (name ~ '^[a-z0-9-]{1,63}$'),
    text       text        NOT NULL CHECK (char_length(text) <= 100000),
    revision   integer     NOT NULL CHECK (revision > 0),
    updated_by text        NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Raised by every change of the tables above, so that each process sees cheaply that it must read
-- them again.
CREATE TABLE access_revision (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    revision bigint  NOT NULL
);
INSERT INTO access_revision (revision) VALUES (1);

-- The first administrator -----------------------------------------------------------------------

WITH admin AS (
    INSERT INTO subjects (id, kind, name, skeleton, display_name, created_by, created_at)
    VALUES (gen_random_uuid(), 'user', 'admin', 'admin', 'Administrator', 'system:start', now())
    RETURNING id
), account AS (
    INSERT INTO accounts (id) SELECT id FROM admin
)
INSERT INTO grants (id, subject_id, effect, role, created_by, created_at)
SELECT gen_random_uuid(), id, 'allow', 'administrator', 'system:start', now() FROM admin;
UPDATE api_tokens SET subject_id = (SELECT id FROM subjects WHERE kind = 'user' AND name = 'admin')
WHERE subject = 'user:admin';

GRANT SELECT, INSERT, UPDATE, DELETE ON subjects, accounts, team_members, grants, policies TO bottega_app;
GRANT SELECT, UPDATE ON access_revision TO bottega_app;
