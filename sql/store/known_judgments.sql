-- The verdicts that are stored already, of those that a file brings.
-- Grain: one row per key that is found.
-- Parameters: :keys, a JSON array of [annotator id, response_a id, response_b id, source id].
SELECT
    j.annotator_id,
    j.response_a_id,
    j.response_b_id,
    j.source_id,
    j.winner,
    j.run_id
FROM json_each(:keys) AS k
CROSS JOIN judgments AS j  -- CROSS: walk the keys and look each up in the index, whatever the statistics say
    ON j.annotator_id = json_extract(k.value, '$[0]')
    AND j.response_a_id = json_extract(k.value, '$[1]')
    AND j.response_b_id = json_extract(k.value, '$[2]')
    AND j.source_id = json_extract(k.value, '$[3]');
