-- Models that answered instructions of a scenario while no person has judged one of their answers there.
-- Grain: one row per model, by name.
-- Parameters: :scenario (NULL: all).
WITH voted AS (
    SELECT model_a_id, model_b_id FROM votes WHERE by_people AND (:scenario IS NULL OR scenario = :scenario)
)
SELECT m.name
FROM models AS m
WHERE EXISTS (
        SELECT 1
        FROM responses AS r
        JOIN instructions AS i ON i.id = r.instruction_id
        WHERE r.model_id = m.id AND (:scenario IS NULL OR i.scenario = :scenario))
    AND m.id NOT IN (SELECT model_a_id FROM voted UNION SELECT model_b_id FROM voted)
ORDER BY m.name;
