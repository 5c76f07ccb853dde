-- How each model fared in each scenario, all opponents together.
-- Grain: one row per scenario and model with votes. win_rate counts a tie and both_bad half.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
sides AS (
    SELECT scenario, model_a_id AS model_id, winner = 'model_a' AS won, winner = 'model_b' AS lost, winner FROM counted
    UNION ALL
    SELECT scenario, model_b_id, winner = 'model_b', winner = 'model_a', winner FROM counted
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
