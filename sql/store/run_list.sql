-- What was executed, the columns of the table runs.
-- Grain: one row per execution of a stage, the latest last.
SELECT id, command, parameters, seed, version, started_at, finished_at, outcome, summary
FROM runs
ORDER BY id;
