-- Returns the assignment that an annotator has before them on the page: the one opened last, so that an undone verdict
-- comes before the assignment that it interrupted.
-- Grain: one row, or none.
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge a selected pair; :held_since, the
--   time since when an open assignment reserves its pair.
SELECT a.id AS assignment_id
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
JOIN runs AS r ON r.id = a.run_id AND r.command = 'annotate'
WHERE s.set_id = :set_id
    AND a.annotator_id = :annotator_id
    AND a.state = 'open'
    AND (
        a.repeat > 0
        OR (
            -- Whoever was away too long finds that others have taken the pair over.
            SELECT count(DISTINCT t.annotator_id)
            FROM taken_slots AS t
            WHERE t.selection_id = s.id
                AND t.annotator_id <> :annotator_id
                AND (
                    t.open_since IS NULL
                    -- Of two people who have the pair open, the first keeps it: neither may block the other.
                    OR (t.open_since >= :held_since AND (
                        a.dealt_at < :held_since
                        OR (t.open_since, t.annotator_id) < (a.dealt_at, a.annotator_id)))
                )
        ) < :overlap
    )
ORDER BY a.dealt_at DESC, a.id DESC
LIMIT 1;
