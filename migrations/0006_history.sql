-- One history of a model: every move of an alias or of a version's stage takes its number from one
-- sequence, so that they are one list, and so that any moment of it can be asked for.

-- A version that is deleted leaves its stage, and comes back to it when it is restored: null is nowhere.
ALTER TABLE stage_history
    ALTER COLUMN from_stage DROP NOT NULL,
    ALTER COLUMN to_stage DROP NOT NULL,
    ADD CONSTRAINT stage_history_somewhere CHECK (num_nonnulls(from_stage, to_stage) > 0);
INSERT INTO stage_history (model_id, version, from_stage, to_stage, actor, request_id, at)
SELECT model_id, number, stage, NULL, 'system:migration', 'migration', deleted_at
FROM model_versions WHERE deleted_at IS NOT NULL;

CREATE SEQUENCE moves AS bigint;
ALTER TABLE stage_history
    ALTER COLUMN id DROP IDENTITY,
    -- What one order did together, as a stage's newcomer and those that were archived for it.
    ADD COLUMN transition bigint;
ALTER TABLE alias_history ADD COLUMN id bigint;

-- What was recorded so far is numbered by its time, above all numbers that there are.
WITH recorded AS (
    SELECT model_id, alias, revision::bigint AS place, at FROM alias_history
    UNION ALL
    SELECT model_id, NULL, id, at FROM stage_history
), numbered AS (
    SELECT model_id, alias, place,
           (SELECT coalesce(max(id), 0) FROM stage_history)
               + row_number() OVER (ORDER BY at, alias NULLS LAST, place) AS id
    FROM recorded
), aliases AS (
    UPDATE alias_history h SET id = n.id
    FROM numbered n WHERE (n.model_id, n.alias, n.place) = (h.model_id, h.alias, h.revision)
)
UPDATE stage_history h SET id = n.id FROM numbered n WHERE n.alias IS NULL AND n.place = h.id;
UPDATE stage_history h SET transition = whole.transition
FROM (SELECT id, min(id) OVER (PARTITION BY model_id, request_id, at) AS transition FROM stage_history) AS whole
WHERE whole.id = h.id;
DO $$ BEGIN
    PERFORM setval('moves', greatest(1, (SELECT max(id) FROM alias_history), (SELECT max(id) FROM stage_history)));
END $$;

ALTER TABLE alias_history
    ALTER COLUMN id SET DEFAULT nextval('moves'),
    ALTER COLUMN id SET NOT NULL;
ALTER TABLE stage_history
    ALTER COLUMN id SET DEFAULT nextval('moves'),
    ALTER COLUMN transition SET DEFAULT nextval('moves'),
    ALTER COLUMN transition SET NOT NULL;
ALTER SEQUENCE moves OWNED BY alias_history.id;

-- Within a model, instants grow with numbers: `store::history` sees to it.
DROP INDEX stage_history_by_model;
CREATE INDEX alias_history_in_order ON alias_history (model_id, at, id);
CREATE INDEX alias_history_by_alias ON alias_history (model_id, alias, at, id);
CREATE INDEX stage_history_in_order ON stage_history (model_id, at, id);
CREATE INDEX stage_history_by_transition ON stage_history (transition);
CREATE INDEX stage_history_by_version ON stage_history (model_id, version, at, id);

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO bottega_app;
