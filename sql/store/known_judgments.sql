-- What annotators have said already about the response pairs that a file brings verdicts on.
-- Grain: one row per judgment, those of one key in the order in which they were stored. repeat is the number of the
-- assignment (0: no repeat), selection_id its pick.
-- Parameters: :keys, a JSON array of [annotator id, response_a id, response_b id].
SELECT
    j.id,
    j.annotator_id,
    j.response_a_id,
    j.response_b_id,
    j.winner,
    j.status,
    j.source,
    j.source_id,
    j.run_id,
    a.selection_id,
    ifnull(a.repeat, 0) AS repeat
FROM json_each(:keys) AS k
CROSS JOIN judgments AS j  -- CROSS: walk the keys and look each up in the index, whatever the statistics say
    ON j.annotator_id = json_extract(k.value, '$[0]')
    AND j.response_a_id = json_extract(k.value, '$[1]')
    AND j.response_b_id = json_extract(k.value, '$[2]')
LEFT JOIN assignments AS a ON a.id = j.assignment_id
ORDER BY j.id;
