-- How each model fared in each scenario, all opponents together.
-- Grain: one row per scenario and model with votes. win_rate counts a tie and both_bad half.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names (JSON array of annotators' names).
WITH votes AS (
    SELECT i.scenario, ra.model_id AS a, rb.model_id AS b, j.winner
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN responses AS rb ON rb.id = j.response_b_id
    JOIN instructions AS i ON i.id = ra.instruction_id
    WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
        AND (:scenario IS NULL OR i.scenario = :scenario)
),
sides AS (
    SELECT scenario, a AS model_id, winner = 'model_a' AS won, winner = 'model_b' AS lost, winner FROM votes
    UNION ALL
    SELECT scenario, b, winner = 'model_b', winner = 'model_a', winner FROM votes
)
SELECT
    s.scenario,
    m.name AS model,
    count(*) AS battles,
    sum(s.won) AS wins,
    sum(s.lost) AS losses,
    sum(s.winner = 'tie') AS ties,
    sum(s.winner = 'both_bad') AS both_bad,
    (sum(s.won) + 0.5 * sum(s.winner IN ('tie', 'both_bad'))) / count(*) AS win_rate
FROM sides AS s
JOIN models AS m ON m.id = s.model_id
GROUP BY s.scenario, m.id
ORDER BY s.scenario, m.id;
