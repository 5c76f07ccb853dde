-- Returns the answers of the models in the columns of AlpacaEval's model_outputs.json, one model after the other.
-- Grain: one row per response.
-- Parameters: :scenarios JSON array of names (NULL: all); :models JSON array of names (NULL: all).
SELECT
    m.name AS generator,
    i.source,
    i.scenario,
    i.instruction,
    i.input,
    r.sample,
    r.response AS output
FROM responses AS r
JOIN models AS m ON m.id = r.model_id
JOIN instructions AS i ON i.id = r.instruction_id
WHERE (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios)))
    AND (:models IS NULL OR m.name IN (SELECT value FROM json_each(:models)))
ORDER BY m.id, i.id, r.sample;
