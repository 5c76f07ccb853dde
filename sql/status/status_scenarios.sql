-- What there is to compare: instructions, models that answered them, answers.
-- Grain: one row per scenario.
SELECT
    i.scenario,
    count(DISTINCT i.id) AS instructions,
    count(DISTINCT r.model_id) AS models,
    count(r.id) AS responses,
    count(DISTINCT CASE WHEN r.response = '' THEN r.id END) AS empty
FROM instructions AS i
LEFT JOIN responses AS r ON r.instruction_id = i.id
GROUP BY i.scenario
ORDER BY i.scenario;
