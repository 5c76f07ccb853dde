-- The response pairs of named selections: votes on them are the votes of a selection.
-- Grain: one row per selected pair; one that several of the selections picked occurs several times.
-- Parameters: :selections (JSON array of selection_sets.name; NULL: whoever includes this takes all response pairs).
SELECT s.response_a_id, s.response_b_id
FROM selections AS s
JOIN selection_sets AS t ON t.id = s.set_id
WHERE t.name IN (SELECT value FROM json_each(:selections));
