-- What there is to compare: instructions, those of the view pool and their generation, models that answered, answers.
-- Grain: one row per scenario.
SELECT
    i.scenario,
    count(DISTINCT i.id) AS instructions,
    count(DISTINCT p.id) AS pool,
    iif(max(i.generation) > 0, 'evolved', 'seeds') AS generation,
    count(DISTINCT r.model_id) AS models,
    count(r.id) AS responses,
    count(DISTINCT CASE WHEN r.response = '' THEN r.id END) AS empty
FROM instructions AS i
LEFT JOIN pool AS p ON p.id = i.id
LEFT JOIN responses AS r ON r.instruction_id = i.id
GROUP BY i.scenario
ORDER BY i.scenario;
