-- The instructions outside the pool, which is defined in store/pool.sql. Where all are compared there are none: asking
-- of every row that its instruction is NOT IN this list then takes half as long as asking that it is IN the pool.
-- Grain: one row per instruction.
-- Parameters: :scenarios and :generation as in store/pool.sql.
SELECT i.id
FROM instructions AS i
WHERE i.id NOT IN (SELECT own.id FROM (
    -- include store/pool
) AS own);
