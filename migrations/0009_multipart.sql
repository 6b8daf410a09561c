-- Uploads whose parts clients send straight to S3: which file each is to become.
CREATE TABLE direct_uploads (
    -- Also the id of its lease in `uploads`, until the bytes are a blob.
    id               uuid        PRIMARY KEY,
    path             text        COLLATE "C" NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 2000),
    parts            integer     NOT NULL CHECK (parts BETWEEN 1 AND 10000),
    -- Until then somebody is putting the parts together and reading them.
    completing_until timestamptz,
    -- When the file appeared: who asks again, since the answer was lost, is told so.
    completed_at     timestamptz,
    expires_at       timestamptz NOT NULL
);
CREATE INDEX direct_uploads_by_expiry ON direct_uploads (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON direct_uploads TO bottega_app;
