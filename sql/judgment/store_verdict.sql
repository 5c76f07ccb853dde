-- Stores the verdict on an assignment that is marked as judged.
-- Changes: judgments.
-- Parameters: :assignment_id; :winner in canonical order; :seconds, :comment (NULL: none); :run_id.
INSERT INTO judgments (
    annotator_id, response_a_id, response_b_id, winner, shown_first, seconds, comment, assignment_id, source, source_id,
    created_at, run_id)
SELECT
    a.annotator_id, s.response_a_id, s.response_b_id, :winner, a.shown_first, :seconds, :comment, a.id, 'page',
    'item:' || a.id, a.decided_at, :run_id
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
WHERE a.id = :assignment_id;
