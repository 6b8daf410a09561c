-- Where a team's versions run, unless they, or the releases that have them, say it themselves.

ALTER TABLE subjects
    ADD COLUMN isolation text CHECK (isolation IN ('in-process', 'process')),
    ADD CONSTRAINT subjects_isolation_of_teams CHECK (isolation IS NULL OR kind = 'team');
