-- The selections of a study with their parameters, the one that was begun or extended last first.
-- Grain: one row per selection that may hold something of the scenarios.
-- Parameters: :scenarios and :selections (JSON arrays of names; NULL: all).
SELECT
    t.id AS set_id,
    t.name AS selection,
    t.scenarios,
    t.generation,
    t.metric_id,
    m.name AS metric,
    t.strategy,
    t.pair_policy,
    t.top_k,
    t.budget,
    t.diversity,
    t.min_words,
    t.max_length_ratio,
    t.candidates,
    t.seed
FROM selection_sets AS t
JOIN metrics AS m ON m.id = t.metric_id
WHERE (:scenarios IS NULL OR t.scenarios IS NULL OR EXISTS (
        SELECT 1 FROM json_each(t.scenarios) AS own WHERE own.value IN (SELECT value FROM json_each(:scenarios))))
    AND (:selections IS NULL OR t.name IN (SELECT value FROM json_each(:selections)))
ORDER BY (SELECT max(s.id) FROM selections AS s WHERE s.set_id = t.id) DESC, t.id DESC;
