-- Who is logged in, and who tries to.

-- The skeleton that `domain::access::SubjectName` makes of `admin`.
UPDATE subjects SET skeleton = 'adrnin' WHERE kind = 'user' AND name = 'admin';

-- A browser that is logged in. What it holds is known here by keyed hash alone.
CREATE TABLE sessions (
    id           uuid        PRIMARY KEY,
    hash         bytea       NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    subject_id   uuid        NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    -- Written at most once a minute.
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    address      text        CHECK (char_length(address) <= 64),
    user_agent   text        CHECK (char_length(user_agent) <= 300)
);
CREATE INDEX sessions_by_subject ON sessions (subject_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Failed attempts to log in, by address, and by account and address. The key is a keyed hash: people
-- type passwords where their name belongs, and addresses are personal.
CREATE TABLE login_failures (
    key           bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    failures      integer     NOT NULL CHECK (failures >= 0),
    last_at       timestamptz NOT NULL,
    -- Until then nothing more is tried.
    blocked_until timestamptz NOT NULL
);
CREATE INDEX login_failures_by_time ON login_failures (last_at);

-- Tokens are listed by holder, and looked for by what may be shown of them.
CREATE INDEX api_tokens_by_subject ON api_tokens (subject_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, login_failures TO bottega_app;
