-- How a release serves, beside the versions that it serves: `domain::serving::Settings`. What was made
-- before has none set.
ALTER TABLE releases
    ADD COLUMN serving jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(serving) = 'object');
