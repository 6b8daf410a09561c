-- Versions that a Python process runs: how each is loaded and what it needs, the packages that were
-- found for it, and how far a trial is, which may have to build an environment first.

ALTER TABLE model_versions ADD COLUMN python jsonb;
ALTER TABLE trials ADD COLUMN progress text;

-- A locked list of packages. Whoever asks for the same gets the same.
CREATE TABLE version_environments (
    version_id uuid PRIMARY KEY REFERENCES model_versions ON DELETE CASCADE,
    wanted bytea NOT NULL CHECK (length(wanted) = 32),
    python text NOT NULL,
    packages text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX version_environments_wanted ON version_environments (wanted, created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON version_environments TO bottega_app;
