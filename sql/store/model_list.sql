-- What each model has: responses, judgments that count, and its latest overall rating.
-- Grain: one row per model, by name.
WITH answered AS (
    SELECT model_id, count(*) AS responses, count(DISTINCT instruction_id) AS instructions
    FROM responses
    GROUP BY model_id
),
sides AS (
    SELECT r.model_id
    FROM judgments AS j
    JOIN responses AS r ON r.id = j.response_a_id
    WHERE j.status = 'counted'
    UNION ALL
    SELECT r.model_id
    FROM judgments AS j
    JOIN responses AS r ON r.id = j.response_b_id
    WHERE j.status = 'counted'
),
judged AS (
    SELECT model_id, count(*) AS judgments FROM sides GROUP BY model_id
)
SELECT
    m.name AS model,
    m.provider,
    m.model_id,
    m.base_url,
    m.system_prompt,
    m.settings,
    m.price_in,
    m.price_out,
    ifnull(a.instructions, 0) AS instructions,
    ifnull(a.responses, 0) AS responses,
    ifnull(j.judgments, 0) AS judgments,
    l.rating,
    l.rank
FROM models AS m
LEFT JOIN answered AS a ON a.model_id = m.id
LEFT JOIN judged AS j ON j.model_id = m.id
LEFT JOIN leaderboard AS l ON l.model = m.name AND l.scenario = 'overall'
ORDER BY m.name;
