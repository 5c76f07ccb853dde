-- The rankings that a report can be made of.
-- Grain: one row per run that stored ratings of the scenario asked for, the latest first. votes: those that it counted.
-- Parameters: :scenario ('overall' for all scenarios together, which may be those that the run was told to take).
SELECT
    r.run_id,
    r.method,
    r.annotators,
    r.selections,
    u.parameters,
    u.version,
    u.started_at,
    sum(r.battles) / 2 AS votes  -- each vote has two sides
FROM ratings AS r
JOIN runs AS u ON u.id = r.run_id
WHERE r.scenario = :scenario
GROUP BY r.run_id
ORDER BY r.run_id DESC;
