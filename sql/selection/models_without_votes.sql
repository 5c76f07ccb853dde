-- Models that answered instructions while no person has judged one of their answers there.
-- Grain: one row per model, by name.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql: models
--   and votes of what these picked).
WITH voted AS (
    SELECT model_a_id, model_b_id
    FROM votes AS v
    WHERE v.by_people
        AND (:scenarios IS NULL OR v.scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (v.response_a_id, v.response_b_id) IN (
            -- include ranking/selected_responses
        ))
)
SELECT m.name
FROM models AS m
WHERE EXISTS (
        SELECT 1
        FROM responses AS r
        JOIN instructions AS i ON i.id = r.instruction_id
        WHERE r.model_id = m.id AND (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios))))
    AND (:selections IS NULL OR EXISTS (
        SELECT 1
        FROM (
            -- include ranking/selected_responses
        ) AS s
        JOIN responses AS r ON r.id = s.response_a_id OR r.id = s.response_b_id
        WHERE r.model_id = m.id))
    AND m.id NOT IN (SELECT model_a_id FROM voted UNION SELECT model_b_id FROM voted)
ORDER BY m.name;
