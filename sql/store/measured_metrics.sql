-- The metrics that have measured anything: those that a selection can go by.
-- Grain: one row per metric, oldest first.
SELECT t.id
FROM metrics AS t
WHERE EXISTS (SELECT 1 FROM similarities AS s WHERE s.metric_id = t.id)
ORDER BY t.id;
