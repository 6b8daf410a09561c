-- Logging in at a provider of OpenID Connect, and CI jobs that come with a token of theirs.

-- A log-in that was begun in a browser and is not back yet. What the browser holds is known here by
-- keyed hash alone; the rest is derived from it. Who comes back takes the row away.
CREATE TABLE oidc_logins (
    hash       bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- Where to go afterwards, on this server.
    return_to  text        NOT NULL CHECK (char_length(return_to) <= 2000),
    -- Where a command of the same machine waits instead, and what it must then show the origin of.
    cli_port      integer  CHECK (cli_port BETWEEN 1 AND 65535),
    cli_challenge text     CHECK (char_length(cli_challenge) = 43),
    expires_at timestamptz NOT NULL,
    CHECK ((cli_port IS NULL) = (cli_challenge IS NULL))
);
CREATE INDEX oidc_logins_by_end ON oidc_logins (expires_at);

-- What a command exchanges for a token, once its user is back.
CREATE TABLE oidc_cli_codes (
    hash       bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    account_id uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    challenge  text        NOT NULL CHECK (char_length(challenge) = 43),
    expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_cli_codes_by_end ON oidc_cli_codes (expires_at);
CREATE INDEX oidc_cli_codes_by_account ON oidc_cli_codes (account_id);

-- Which user somebody is whom a provider knows. Never by e-mail: that is the provider's to give away.
CREATE TABLE oidc_identities (
    id            uuid        PRIMARY KEY,
    issuer        text        NOT NULL CHECK (char_length(issuer) BETWEEN 1 AND 500),
    subject       text        NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 255),
    account_id    uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_by    text        NOT NULL,
    created_at    timestamptz NOT NULL,
    last_login_at timestamptz
);
CREATE UNIQUE INDEX oidc_identities_key ON oidc_identities (issuer COLLATE "C", subject COLLATE "C");
CREATE INDEX oidc_identities_by_account ON oidc_identities (account_id);

-- What being in a group of the provider gives: membership of a team, or a role on everything.
CREATE TABLE oidc_groups (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 500),
    team_id    uuid        REFERENCES subjects ON DELETE CASCADE,
    role       text        CHECK (role IN ('viewer', 'consumer', 'contributor', 'data-scientist', 'operator', 'auditor', 'administrator')),
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK ((team_id IS NULL) <> (role IS NULL))
);
CREATE UNIQUE INDEX oidc_groups_team ON oidc_groups (name COLLATE "C", team_id) WHERE team_id IS NOT NULL;
CREATE UNIQUE INDEX oidc_groups_role ON oidc_groups (name COLLATE "C", role) WHERE role IS NOT NULL;

-- What a log-in gave by groups a later one takes away again; what somebody gave by hand stays.
ALTER TABLE team_members ADD COLUMN origin text NOT NULL DEFAULT 'hand' CHECK (origin IN ('hand', 'oidc'));
ALTER TABLE grants       ADD COLUMN origin text NOT NULL DEFAULT 'hand' CHECK (origin IN ('hand', 'oidc'));
-- Who came by a provider need not change a password first.
ALTER TABLE sessions     ADD COLUMN origin text NOT NULL DEFAULT 'password' CHECK (origin IN ('password', 'oidc'));

-- Whose tokens are exchanged for tokens of a service account, and what they must say.
CREATE TABLE oidc_trusts (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (name ~ '^[a-z0-9-]{1,63}$'),
    issuer     text        NOT NULL CHECK (char_length(issuer) BETWEEN 1 AND 500),
    audience   text        NOT NULL CHECK (char_length(audience) BETWEEN 1 AND 500),
    service_id uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    -- Claim to the value that it must have, which may end in `*`.
    claims     jsonb       NOT NULL CHECK (jsonb_typeof(claims) = 'object' AND claims <> '{}'),
    -- As in api_tokens.
    scopes     text[],
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX oidc_trusts_name ON oidc_trusts (name);
CREATE INDEX oidc_trusts_by_issuer ON oidc_trusts (issuer COLLATE "C");
CREATE INDEX oidc_trusts_by_service ON oidc_trusts (service_id);

-- Tokens that were exchanged, by keyed hash of issuer and `jti`, until they are over anyway.
CREATE TABLE oidc_exchanged (
    hash       bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_exchanged_by_end ON oidc_exchanged (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON oidc_logins, oidc_cli_codes, oidc_identities, oidc_groups, oidc_trusts, oidc_exchanged TO bottega_app;
