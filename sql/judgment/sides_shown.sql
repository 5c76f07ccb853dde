-- Returns how often an annotator was shown either model of a pair first.
-- Grain: one row.
-- Parameters: :set_id the selection; :annotator_id; :pair_id, the two models.
SELECT
    ifnull(sum(a.shown_first = 'model_a'), 0) AS a_first,
    ifnull(sum(a.shown_first = 'model_b'), 0) AS b_first
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
WHERE s.set_id = :set_id
    AND s.pair_id = :pair_id
    AND a.annotator_id = :annotator_id
    AND a.repeat = 0
    AND a.state IN ('open', 'judged');  -- a pair that was skipped or undone and dealt again would count twice
