-- How many response pairs each metric has measured, and how many of the view pool it has not.
-- Grain: one row per metric.
WITH
answers AS (
    SELECT r.instruction_id, r.model_id, count(*) AS n
    FROM pool AS p
    JOIN responses AS r ON r.instruction_id = p.id
    GROUP BY r.instruction_id, r.model_id
),
-- Pairs of different models' answers to one instruction: (all² − Σ own²) / 2.
possible AS (
    SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM answers GROUP BY instruction_id
),
measured AS (
    SELECT s.metric_id, count(*) AS pairs, count(p.id) AS of_pool
    FROM similarities AS s
    LEFT JOIN pool AS p ON p.id = s.instruction_id
    GROUP BY s.metric_id
)
SELECT
    t.id AS metric_id,
    t.name,
    ifnull(m.pairs, 0) AS measured,
    (SELECT ifnull(sum(pairs), 0) FROM possible) - ifnull(m.of_pool, 0) AS pending
FROM metrics AS t
LEFT JOIN measured AS m ON m.metric_id = t.id
ORDER BY t.id;
