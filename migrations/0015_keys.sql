-- Keys that are made here, kept sealed under the platform's secret key, so that changing that one
-- key means sealing few rows anew and nothing else.

-- Tells this Bottega from others, in the tokens that it signs.
CREATE TABLE instance (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id       uuid    NOT NULL
);
INSERT INTO instance (id) VALUES (gen_random_uuid());

-- What hashes of tokens are keyed by. It never changes: hashes cannot be made anew.
CREATE TABLE hash_keys (
    only_one   boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- What short-lived tokens are signed by: each for a while, so that a stolen one is soon worth nothing.
CREATE TABLE signing_keys (
    id          uuid        PRIMARY KEY,
    public_key  bytea       NOT NULL CHECK (octet_length(public_key) = 32),
    sealed      bytea       NOT NULL,
    -- Published before it signs, so that every process knows it by then.
    signs_from  timestamptz NOT NULL,
    signs_until timestamptz NOT NULL,
    -- As long as the last token that it signed lives.
    known_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    CHECK (signs_from < signs_until AND signs_until < known_until)
);
CREATE INDEX signing_keys_by_end ON signing_keys (known_until);

GRANT SELECT ON instance TO bottega_app;
GRANT SELECT, INSERT, UPDATE ON hash_keys TO bottega_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON signing_keys TO bottega_app;
