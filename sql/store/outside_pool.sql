-- The instructions outside the pool, which is defined in pool.sql. Where all are compared there are none, and asking of
-- every row that its instruction is NOT IN this list costs a third of asking that it is IN the pool.
-- Grain: one row per instruction.
-- Parameters: :scenarios and :generation as in pool.sql.
SELECT i.id
FROM instructions AS i
WHERE i.id NOT IN (SELECT own.id FROM (
    -- include store/pool
) AS own);
