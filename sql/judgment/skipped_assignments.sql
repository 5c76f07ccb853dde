-- Returns the assignments that an annotator has skipped and could still judge, the one skipped first at the end: what
-- is opened last comes first on the page.
-- Grain: one row per selected pair (and repeat).
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge a selected pair; :held_since, the
--   time since when an open assignment reserves its pair.
SELECT
    a.id AS assignment_id,  -- of the row that max() takes
    max(a.dealt_at) AS dealt_at
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
WHERE s.set_id = :set_id
    AND a.annotator_id = :annotator_id
    AND a.state = 'skipped'
    AND CASE
        WHEN a.repeat > 0 THEN NOT EXISTS (
            SELECT 1
            FROM assignments AS b
            WHERE b.selection_id = a.selection_id
                AND b.annotator_id = a.annotator_id
                AND b.repeat = a.repeat
                AND b.state IN ('open', 'judged'))
        ELSE NOT EXISTS (
            SELECT 1
            FROM taken_slots AS t
            WHERE t.selection_id = s.id AND t.annotator_id = :annotator_id
        ) AND (
            SELECT count(DISTINCT t.annotator_id)
            FROM taken_slots AS t
            WHERE t.selection_id = s.id AND (t.open_since IS NULL OR t.open_since >= :held_since)
        ) < :overlap
    END
GROUP BY a.selection_id, a.repeat
ORDER BY max(a.decided_at) DESC, max(a.dealt_at) DESC, assignment_id DESC;
