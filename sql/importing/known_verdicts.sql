-- Returns the verdicts that an annotator has given on an assignment already: on this sheet, on another, or on the page.
-- Grain: one row per judgment.
-- Parameters: :annotator, a name; :response_a_id, :response_b_id; :source_id of the verdict on this
--   sheet; :selection_id and :repeat of the assignment.
SELECT
    j.winner,
    j.run_id,
    j.source
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
LEFT JOIN assignments AS a ON a.id = j.assignment_id
WHERE j.response_a_id = :response_a_id
    AND j.response_b_id = :response_b_id
    AND n.name = :annotator
    AND (
        (a.selection_id = :selection_id AND a.repeat = :repeat)
        OR j.source_id = :source_id
    )
ORDER BY j.id;
