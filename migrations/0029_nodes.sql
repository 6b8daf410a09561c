-- Nodes that share the models: what each has, what it is to hold, and what waits for room on one.

ALTER TABLE nodes
    -- Where other nodes reach it; empty where they do not.
    ADD COLUMN url          text    NOT NULL DEFAULT '' CHECK (char_length(url) <= 300),
    ADD COLUMN grpc         text    NOT NULL DEFAULT '' CHECK (char_length(grpc) <= 300),
    ADD COLUMN version      text    NOT NULL DEFAULT '',
    ADD COLUMN cores        integer NOT NULL DEFAULT 1 CHECK (cores > 0),
    -- How much models may take there.
    ADD COLUMN memory_bytes bigint  NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0);

ALTER TABLE replicas
    ADD COLUMN bytes     bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    -- Where it runs; absent while it is not loaded, and for a version that a server elsewhere runs.
    ADD COLUMN isolation text   CHECK (isolation IN ('in-process', 'process'));

-- Which nodes are to hold a release, where it is not all of them.
CREATE TABLE placements (
    endpoint_id uuid        NOT NULL,
    number      integer     NOT NULL,
    node_id     uuid        NOT NULL REFERENCES nodes ON DELETE CASCADE,
    placed_at   timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, number, node_id),
    FOREIGN KEY (endpoint_id, number) REFERENCES releases ON DELETE CASCADE
);
CREATE INDEX placements_by_node ON placements (node_id);

-- Releases that fewer nodes hold than they ask for, and why.
CREATE TABLE placement_waits (
    endpoint_id uuid        NOT NULL,
    number      integer     NOT NULL,
    missing     integer     NOT NULL CHECK (missing > 0),
    reason      text        NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, number),
    FOREIGN KEY (endpoint_id, number) REFERENCES releases ON DELETE CASCADE
);

GRANT SELECT, INSERT, UPDATE, DELETE ON placements, placement_waits TO bottega_app;

-- Whether a node is to hold a release: it is one for all nodes, or for this one.
CREATE FUNCTION is_placed(endpoint uuid, release integer, node uuid) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM releases r
               WHERE r.endpoint_id = endpoint AND r.number = release
                 AND (r.serving->>'nodes' IS NULL
                      OR EXISTS (SELECT FROM placements p
                                 WHERE p.endpoint_id = endpoint AND p.number = release AND p.node_id = node)));
