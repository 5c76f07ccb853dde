-- The ways in which similarity was measured, with all their parameters.
-- Grain: one row per metric.
-- Parameters: none.
SELECT
    t.name AS metric,
    t.parameters,
    (SELECT count(*) FROM similarities AS s WHERE s.metric_id = t.id) AS response_pairs,
    (SELECT count(*) FROM embeddings AS e WHERE e.metric_id = t.id) AS embeddings
FROM metrics AS t
ORDER BY t.id;
