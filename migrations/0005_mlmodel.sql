-- What an `MLmodel` file says of itself besides flavours, and what of it could not be taken over.
ALTER TABLE model_versions
    -- Who wrote it and when, its signature in MLflow's words, its params.
    ADD COLUMN mlmodel jsonb,
    -- Sentences for people.
    ADD COLUMN notes   text[] NOT NULL DEFAULT '{}';
