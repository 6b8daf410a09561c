-- Whether nodes run the trees of a Python version by themselves, as its trial found, and why.

ALTER TABLE model_versions ADD COLUMN native jsonb;
