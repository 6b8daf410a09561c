-- Searches of runs by the values of params and tags: how common a value is depends on its key, and
-- without that knowledge the planner chooses for rare ones what is right for common ones.
CREATE STATISTICS run_params_values (mcv) ON key, (left(value, 100)) FROM run_params;
CREATE STATISTICS run_tags_values (mcv) ON key, (left(value, 100)) FROM run_tags;
