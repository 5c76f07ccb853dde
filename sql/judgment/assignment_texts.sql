-- Returns an assignment as its annotator sees it, the answers in the order that was drawn for it.
-- Grain: one row, or none where the assignment is not this annotator's.
-- Parameters: :assignment_id; :annotator_id; :set_id the selection.
SELECT
    a.selection_id,
    a.repeat,
    i.instruction,
    i.input,
    i.reference_answer,
    iif(a.shown_first = 'model_a', ra.response, rb.response) AS response_1,
    iif(a.shown_first = 'model_a', rb.response, ra.response) AS response_2
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
WHERE a.id = :assignment_id AND a.annotator_id = :annotator_id AND s.set_id = :set_id;
