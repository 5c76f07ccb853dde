-- Models that answered instructions of a scenario while no person has judged one of their answers there.
-- Grain: one row per model, by name.
-- Parameters: :scenario (NULL: all).
SELECT m.name
FROM models AS m
WHERE EXISTS (
    SELECT 1
    FROM responses AS r
    JOIN instructions AS i ON i.id = r.instruction_id
    WHERE r.model_id = m.id AND (:scenario IS NULL OR i.scenario = :scenario)
)
AND NOT EXISTS (
    SELECT 1
    FROM responses AS r
    JOIN instructions AS i ON i.id = r.instruction_id
    JOIN judgments AS j ON r.id IN (j.response_a_id, j.response_b_id)
    JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
    WHERE r.model_id = m.id AND (:scenario IS NULL OR i.scenario = :scenario)
)
ORDER BY m.name;
