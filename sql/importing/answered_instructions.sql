-- Returns the answers that two models gave to some instructions.
-- Grain: one row per response of either model.
-- Parameters: :instructions, a JSON array of instruction ids; :model_a and :model_b, names.
SELECT
    r.id,
    r.instruction_id,
    m.name AS model,
    r.response
FROM json_each(:instructions) AS k
CROSS JOIN models AS m  -- CROSS: look up instruction and model in the index, whatever the statistics say
JOIN responses AS r ON r.instruction_id = k.value AND r.model_id = m.id
WHERE m.name IN (:model_a, :model_b)
ORDER BY r.instruction_id, r.sample;
