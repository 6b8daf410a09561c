-- Whether a thing is among those that some clauses are about: all that a clause names must hold. A
-- clause is {"team": …, "id": …, "env": …, "tag": [key, value]}, each of them or none.
CREATE FUNCTION is_among(clauses jsonb, id text, team uuid, env text, tags jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT FROM jsonb_array_elements(clauses) AS c(clause)
    WHERE (NOT clause ? 'team' OR clause ->> 'team' = team::text)
      AND (NOT clause ? 'id' OR clause ->> 'id' = id)
      AND (NOT clause ? 'env' OR clause ->> 'env' = env)
      AND (NOT clause ? 'tag' OR tags ->> (clause #>> '{tag,0}') = clause #>> '{tag,1}')
);

-- Whether what is allowed and not denied holds for a model, an endpoint, an experiment. Tags are
-- gathered only where some clause asks for them.
CREATE FUNCTION sees_model(allow jsonb, deny jsonb, model uuid, team uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT is_among(allow, model::text, team, NULL, t.tags) AND NOT is_among(deny, model::text, team, NULL, t.tags)
    FROM (SELECT (SELECT jsonb_object_agg(key, value) FROM model_tags
                  WHERE model_id = model AND jsonb_path_exists(allow || deny, '$[*].tag')) AS tags) t
);

CREATE FUNCTION sees_endpoint(allow jsonb, deny jsonb, endpoint uuid, team uuid, env text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN is_among(allow, endpoint::text, team, env, NULL) AND NOT is_among(deny, endpoint::text, team, env, NULL);

CREATE FUNCTION sees_experiment(allow jsonb, deny jsonb, experiment bigint, team uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT is_among(allow, experiment::text, team, NULL, t.tags)
           AND NOT is_among(deny, experiment::text, team, NULL, t.tags)
    FROM (SELECT (SELECT jsonb_object_agg(key, value) FROM experiment_tags
                  WHERE experiment_id = experiment AND jsonb_path_exists(allow || deny, '$[*].tag')) AS tags) t
);
