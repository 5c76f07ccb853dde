-- How many of the possible response pairs each metric has measured.
-- Grain: one row per metric.
WITH
answers AS (
    SELECT instruction_id, model_id, count(*) AS n FROM responses GROUP BY instruction_id, model_id
),
-- Pairs of different models' answers to one instruction: (all² − Σ own²) / 2.
possible AS (
    SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM answers GROUP BY instruction_id
),
measured AS (
    SELECT metric_id, count(*) AS pairs FROM similarities GROUP BY metric_id
)
SELECT
    t.id AS metric_id,
    t.name,
    ifnull(m.pairs, 0) AS measured,
    (SELECT ifnull(sum(pairs), 0) FROM possible) - ifnull(m.pairs, 0) AS pending
FROM metrics AS t
LEFT JOIN measured AS m ON m.metric_id = t.id
ORDER BY t.id;
