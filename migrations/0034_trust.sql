-- Versions whose pickles and code an administrator lets run by themselves, while the platform's setting takes
-- known constructors alone; and the reason.

ALTER TABLE model_versions
    ADD COLUMN trusted_by   text,
    ADD COLUMN trusted_at   timestamptz,
    ADD COLUMN trust_reason text,
    ADD CONSTRAINT model_versions_trust_is_whole
        CHECK (num_nulls(trusted_by, trusted_at, trust_reason) IN (0, 3));
