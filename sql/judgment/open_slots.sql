-- Returns the pairs of a selection that an annotator may be dealt now, with how many others have judged them or have
-- them open.
-- Grain: one row per selected pair that still needs a verdict, and that this annotator has neither judged nor skipped.
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge a selected pair; :held_since, the
--   time since when an open assignment reserves its pair.
WITH taken AS (
    SELECT
        selection_id,
        count(DISTINCT iif(annotator_id <> :annotator_id, annotator_id, NULL)) AS others,
        -- The annotator's own open assignments are out too: those that are not before them any more went to others.
        max(annotator_id = :annotator_id) AS mine
    FROM taken_slots
    WHERE set_id = :set_id
        AND (open_since IS NULL OR open_since >= :held_since OR annotator_id = :annotator_id)
    GROUP BY selection_id
)
SELECT
    s.id AS selection_id,
    s.pair_id,
    ifnull(t.others, 0) AS taken
FROM selections AS s
LEFT JOIN taken AS t ON t.selection_id = s.id
WHERE s.set_id = :set_id
    AND ifnull(t.mine, 0) = 0
    AND ifnull(t.others, 0) < :overlap
    AND s.id NOT IN (
        SELECT a.selection_id
        FROM assignments AS a
        WHERE a.annotator_id = :annotator_id AND a.repeat = 0 AND a.state = 'skipped'
    )
ORDER BY s.id;
