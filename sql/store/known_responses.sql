-- Every sample that is stored already of the models' answers to the instructions that a file brings.
-- Grain: one row per response.
-- Parameters: :keys, a JSON array of [instruction id, model id].
SELECT
    r.id,
    r.instruction_id,
    r.model_id,
    r.sample,
    r.hash
FROM json_each(:keys) AS k
CROSS JOIN responses AS r  -- CROSS: walk the keys and look each up in the index, whatever the statistics say
    ON r.instruction_id = json_extract(k.value, '$[0]') AND r.model_id = json_extract(k.value, '$[1]')
ORDER BY r.id;
