-- How many instructions the pool of each scenario has, and from how many seeds its rewritings come.
-- Grain: one row per scenario of which anything is in the pool.
-- `evolved` is 1 where the scenario has rewritings, in the pool or not.
-- Parameters: as in pool.sql.
WITH RECURSIVE chosen AS MATERIALIZED (
    -- include store/pool
),
descent (id, ancestor) AS (
    SELECT id, id FROM chosen WHERE generation > 0
    UNION ALL
    SELECT d.id, i.parent_id
    FROM descent AS d
    JOIN instructions AS i ON i.id = d.ancestor
    WHERE i.parent_id IS NOT NULL
),
origins AS (
    SELECT s.scenario, count(DISTINCT d.ancestor) AS seeds
    FROM descent AS d
    JOIN instructions AS s ON s.id = d.ancestor AND s.generation = 0
    GROUP BY s.scenario
)
SELECT
    c.scenario,
    count(*) FILTER (WHERE c.generation = 0) AS seeds,
    count(*) FILTER (WHERE c.generation > 0) AS rewritings,
    ifnull(o.seeds, 0) AS rewritten_seeds,
    EXISTS (SELECT 1 FROM instructions AS r WHERE r.scenario = c.scenario AND r.generation > 0) AS evolved
FROM chosen AS c
LEFT JOIN origins AS o ON o.scenario = c.scenario
GROUP BY c.scenario
ORDER BY c.scenario;
