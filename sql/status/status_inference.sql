-- What models that were asked have not answered, of the scenarios that they were asked for.
-- Grain: one row per model, by name.
-- Parameters: none.
WITH asked AS (
    SELECT DISTINCT model_id FROM responses WHERE call_id IS NOT NULL
    UNION
    SELECT DISTINCT model_id FROM calls WHERE stage = 'inference'
),
pool AS (
    SELECT scenario, count(*) AS instructions FROM instructions GROUP BY scenario
),
answered AS (
    SELECT r.model_id, i.scenario, count(DISTINCT r.instruction_id) AS done
    FROM responses AS r
    JOIN asked AS a ON a.model_id = r.model_id
    JOIN instructions AS i ON i.id = r.instruction_id
    GROUP BY r.model_id, i.scenario
)
SELECT
    m.name AS model,
    -- A model without any answer was asked for all; one with answers for the scenarios that it has some of.
    ifnull(sum(p.instructions - w.done), (SELECT count(*) FROM instructions)) AS pending
FROM asked AS a
JOIN models AS m ON m.id = a.model_id
LEFT JOIN answered AS w ON w.model_id = a.model_id
LEFT JOIN pool AS p ON p.scenario = w.scenario
GROUP BY m.id
ORDER BY m.name;
