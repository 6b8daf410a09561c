-- Where a version runs: in the node's own process, or in one of its own. Absent: as its node says.

ALTER TABLE model_versions
    ADD COLUMN isolation text CHECK (isolation IN ('in-process', 'process'));
CREATE INDEX model_versions_with_isolation ON model_versions (id) WHERE isolation IS NOT NULL;
