-- The models of a study: what they answered, and how they were asked where madetl asked them.
-- Grain: one row per model. words is the mean length of its answers.
-- Parameters: :scenarios (JSON array of names; NULL: all).
SELECT
    m.id AS model_id,
    m.name AS model,
    count(r.id) AS responses,
    avg(r.words) AS words,
    m.provider,
    m.model_id AS provider_model,
    m.system_prompt,
    m.settings
FROM models AS m
LEFT JOIN responses AS r
    ON r.model_id = m.id
    AND (:scenarios IS NULL OR r.instruction_id IN (
        SELECT i.id FROM instructions AS i WHERE i.scenario IN (SELECT value FROM json_each(:scenarios))))
GROUP BY m.id
ORDER BY m.id;
