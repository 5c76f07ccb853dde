-- The similarities that are stored already, of those that a file brings.
-- Grain: one row per response pair that is found.
-- Parameters: :metric_id; :keys, a JSON array of [response_a id, response_b id] in canonical order.
SELECT
    s.response_a_id,
    s.response_b_id,
    s.score
FROM json_each(:keys) AS k
CROSS JOIN similarities AS s  -- CROSS: walk the keys and look each up in the index, whatever the statistics say
    ON s.metric_id = :metric_id
    AND s.response_a_id = json_extract(k.value, '$[0]')
    AND s.response_b_id = json_extract(k.value, '$[1]');
