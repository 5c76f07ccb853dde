-- Returns the assignments of an annotation sheet, the answers in the order that was drawn for each.
-- Grain: one row per assignment that is still to be judged.
-- Parameters: :set_id the selection; :annotator_id (NULL: the sheet without an annotator).
SELECT
    a.id AS assignment_id,
    i.instruction,
    i.input,
    i.reference_answer,
    iif(a.shown_first = 'model_a', ra.response, rb.response) AS response_1,
    iif(a.shown_first = 'model_a', rb.response, ra.response) AS response_2,
    -- For the note about answers that name their own model; never written to a sheet.
    iif(a.shown_first = 'model_a', ma.name, mb.name) AS model_1,
    iif(a.shown_first = 'model_a', mb.name, ma.name) AS model_2
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
JOIN models AS ma ON ma.id = ra.model_id
JOIN models AS mb ON mb.id = rb.model_id
WHERE s.set_id = :set_id
    AND ifnull(a.annotator_id, 0) = ifnull(:annotator_id, 0)
    AND a.repeat = 0
    AND a.state IN ('open', 'judged')
    -- An assignment whose verdict was deleted since is open again.
    AND NOT (a.state = 'judged' AND EXISTS (SELECT 1 FROM judgments AS j WHERE j.assignment_id = a.id))
-- By id alone: ids are drawn at random, whenever a pair was dealt; any other order could tell models apart.
ORDER BY a.id;
