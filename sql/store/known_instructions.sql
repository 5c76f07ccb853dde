-- The instructions that are stored already, of those that a file brings.
-- Grain: one row per key that is found.
-- Parameters: :keys, a JSON array of [scenario, hash].
SELECT
    i.id,
    i.scenario,
    i.hash,
    i.reference_answer,
    i.language
FROM json_each(:keys) AS k
CROSS JOIN instructions AS i  -- CROSS: walk the keys and look each up in the index, whatever the statistics say
    ON i.scenario = json_extract(k.value, '$[0]') AND i.hash = json_extract(k.value, '$[1]');
