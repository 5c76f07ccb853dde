-- What models that were asked have not answered of the view pool, in the scenarios that they were asked for.
-- Grain: one row per model, by name.
-- Parameters: none.
WITH asked AS (
    SELECT DISTINCT model_id FROM responses WHERE call_id IS NOT NULL
    UNION
    SELECT DISTINCT model_id FROM calls WHERE stage = 'inference'
),
sizes AS (
    SELECT scenario, count(*) AS instructions FROM pool GROUP BY scenario
),
answered AS (
    SELECT r.model_id, i.scenario, count(DISTINCT p.id) AS done
    FROM responses AS r
    JOIN asked AS a ON a.model_id = r.model_id
    JOIN instructions AS i ON i.id = r.instruction_id
    LEFT JOIN pool AS p ON p.id = i.id
    GROUP BY r.model_id, i.scenario
)
SELECT
    m.name AS model,
    -- A model without any answer was asked for all; one with answers for the scenarios that it has some of.
    ifnull(sum(z.instructions - w.done), (SELECT count(*) FROM pool)) AS pending
FROM asked AS a
JOIN models AS m ON m.id = a.model_id
LEFT JOIN answered AS w ON w.model_id = a.model_id
LEFT JOIN sizes AS z ON z.scenario = w.scenario
GROUP BY m.id
ORDER BY m.name;
