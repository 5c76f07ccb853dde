-- Runs that have requests under way: they work at this moment, or they were killed.
-- Grain: one row per run.
-- Parameters: none.
SELECT r.id AS run_id
FROM runs AS r
-- First the few runs that never ended, then their calls by the index: the whole ledger is not read.
WHERE
    r.outcome IS NULL
    AND EXISTS (SELECT 1 FROM calls AS c WHERE c.run_id = r.id AND c.outcome IS NULL)
ORDER BY r.id;
