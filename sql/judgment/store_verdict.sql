-- Stores the verdict on an assignment that is marked as judged. It does not count where it answers a repeat, or where
-- the annotator's vote on the two answers came in from elsewhere meanwhile.
-- Changes: judgments.
-- Parameters: :assignment_id; :winner in canonical order; :seconds, :comment (NULL: none); :run_id.
INSERT INTO judgments (
    annotator_id, response_a_id, response_b_id, winner, shown_first, seconds, comment, assignment_id, source, source_id,
    created_at, run_id, status)
SELECT
    a.annotator_id, s.response_a_id, s.response_b_id, :winner, a.shown_first, :seconds, :comment, a.id, 'page',
    'item:' || a.id, a.decided_at, :run_id,
    iif(
        a.repeat > 0 OR EXISTS (
            SELECT 1
            FROM judgments AS j
            WHERE j.annotator_id = a.annotator_id
                AND j.response_a_id = s.response_a_id
                AND j.response_b_id = s.response_b_id
                AND j.status = 'counted'),
        'repeat',
        'counted')
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
WHERE a.id = :assignment_id;
