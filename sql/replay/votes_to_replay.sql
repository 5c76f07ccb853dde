-- People's votes with the response pairs that they are on: what a replay splits into gold and pool.
-- Grain: one row per judgment of a person. Those of one model pair stand together, within it those of one instruction,
-- and within that those of one response pair. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a
-- loss. similarity_id is NULL where the response pair is not measured with the metric.
-- Parameters: :metric_id, :scenario (NULL: all), :model_ids (JSON array of models.id that both must be of; NULL: all).
SELECT
    ra.model_id AS model_a_id,
    rb.model_id AS model_b_id,
    ra.instruction_id,
    j.response_a_id,
    j.response_b_id,
    CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END AS half_points,
    s.id AS similarity_id
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
LEFT JOIN similarities AS s
    ON s.metric_id = :metric_id AND s.response_a_id = j.response_a_id AND s.response_b_id = j.response_b_id
WHERE n.kind = 'person'
    AND (:scenario IS NULL
        OR ra.instruction_id IN (SELECT i.id FROM instructions AS i WHERE i.scenario = :scenario))
    AND (:model_ids IS NULL
        OR (ra.model_id IN (SELECT value FROM json_each(:model_ids))
            AND rb.model_id IN (SELECT value FROM json_each(:model_ids))))
ORDER BY ra.model_id, rb.model_id, ra.instruction_id, j.response_a_id, j.response_b_id, j.id;
