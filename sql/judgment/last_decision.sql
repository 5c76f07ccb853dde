-- Returns what an annotator decided last on the page, verdict or skip: what undo takes back.
-- Grain: one row, or none.
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge a selected pair; :held_since, the
--   time since when an open assignment reserves its pair.
SELECT
    a.id AS assignment_id,
    a.state,
    CASE
        WHEN j.winner IN ('tie', 'both_bad') THEN j.winner
        WHEN j.winner = a.shown_first THEN 'first'
        WHEN j.winner IS NOT NULL THEN 'second'
        ELSE 'skip'
    END AS choice
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
LEFT JOIN judgments AS j ON j.assignment_id = a.id AND j.source = 'page'
WHERE s.set_id = :set_id
    AND a.annotator_id = :annotator_id
    AND (
        (a.state = 'judged' AND j.id IS NOT NULL)
        OR (
            a.state = 'skipped'
            -- A skip does not count any more once its pair was dealt to the annotator again,
            AND NOT EXISTS (
                SELECT 1
                FROM assignments AS b
                WHERE b.selection_id = a.selection_id
                    AND b.annotator_id = a.annotator_id
                    AND b.repeat = a.repeat
                    AND b.dealt_at >= a.decided_at
                    AND b.id <> a.id)
            -- or went to somebody else.
            AND (a.repeat > 0 OR (
                SELECT count(DISTINCT t.annotator_id)
                FROM taken_slots AS t
                WHERE t.selection_id = s.id
                    AND t.annotator_id <> :annotator_id
                    AND (t.open_since IS NULL OR t.open_since >= :held_since)
            ) < :overlap)
        )
    )
ORDER BY a.decided_at DESC, a.dealt_at DESC, a.id DESC
LIMIT 1;
