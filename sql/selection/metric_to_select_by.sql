-- The metric to pick by where nobody has named one: the usual one, or the oldest other where that has measured nothing.
-- Grain: one row, or none where nothing is measured.
-- Parameters: :usual (a metric's name).
SELECT t.id
FROM metrics AS t
WHERE EXISTS (SELECT 1 FROM similarities AS s WHERE s.metric_id = t.id)
ORDER BY t.name <> :usual, t.id
LIMIT 1;
