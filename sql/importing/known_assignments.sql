-- Returns the assignments of a sheet's item numbers, the texts in the order that the sheet shows them.
-- Grain: one row per assignment that is stored.
-- Parameters: :assignment_ids, a JSON array: the numbers in the sheet's column item.
SELECT
    a.id AS assignment_id,
    a.selection_id,
    a.repeat,
    a.shown_first,
    n.name AS annotator,
    s.response_a_id,
    s.response_b_id,
    i.instruction,
    i.input,
    ifnull(i.reference_answer, '') AS reference_answer,
    iif(a.shown_first = 'model_a', ra.response, rb.response) AS response_1,
    iif(a.shown_first = 'model_a', rb.response, ra.response) AS response_2
FROM json_each(:assignment_ids) AS k
CROSS JOIN assignments AS a ON a.id = k.value  -- CROSS: look each number up, whatever the statistics say
JOIN selections AS s ON s.id = a.selection_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
LEFT JOIN annotators AS n ON n.id = a.annotator_id;
