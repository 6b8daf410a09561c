-- What lineage and collection look for: versions by the dataset that they were trained on and by the
-- version that they were copied from, and what was deleted, oldest first.

CREATE INDEX model_versions_by_dataset ON model_versions (dataset_digest);
-- Sources may be longer than an ordered index allows.
CREATE INDEX model_versions_by_source ON model_versions USING hash (source);

CREATE INDEX runs_deleted ON runs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX logged_models_deleted ON logged_models (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX experiments_deleted ON experiments (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX models_deleted ON models (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX model_versions_deleted ON model_versions (deleted_at) WHERE deleted_at IS NOT NULL;
