-- Returns what was dealt under the item numbers of a sheet, the texts in the order that it shows them.
-- Grain: one row per item number that is known.
-- Parameters: :items, a JSON array of item numbers.
SELECT
    a.id AS item,
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
FROM json_each(:items) AS k
CROSS JOIN assignments AS a ON a.id = k.value  -- CROSS: look each number up, whatever the statistics say
JOIN selections AS s ON s.id = a.selection_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
LEFT JOIN annotators AS n ON n.id = a.annotator_id;
