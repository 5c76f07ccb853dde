-- Returns the pairs of a selection that are not assigned to an annotator (or to the sheet without one) yet, and how
-- often either model of the pair was shown first so far.
-- Grain: one row per selected pair.
-- Parameters: :set_id the selection; :annotator_id (NULL: the sheet without an annotator).
WITH assigned AS (
    SELECT a.selection_id, s.pair_id, a.shown_first
    FROM assignments AS a
    JOIN selections AS s ON s.id = a.selection_id
    WHERE s.set_id = :set_id
        AND ifnull(a.annotator_id, 0) = ifnull(:annotator_id, 0)
        AND a.repeat = 0
        AND a.state IN ('open', 'judged')  -- what was skipped or undone on the page is assigned again
),
shown AS (
    SELECT pair_id, sum(shown_first = 'model_a') AS a_first, sum(shown_first = 'model_b') AS b_first
    FROM assigned
    GROUP BY pair_id
)
SELECT s.id AS selection_id, s.pair_id, ifnull(n.a_first, 0) AS a_first, ifnull(n.b_first, 0) AS b_first
FROM selections AS s
LEFT JOIN shown AS n ON n.pair_id = s.pair_id
WHERE s.set_id = :set_id AND s.id NOT IN (SELECT selection_id FROM assigned)
ORDER BY s.pair_id, s.rank;
