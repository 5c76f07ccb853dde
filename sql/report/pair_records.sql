-- What two models won against each other, ties apart.
-- Grain: one row per pair of models that met, in canonical order. An item is an instruction with all its votes.
-- win_rate is model_a's, a tie and both_bad counting half.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
counts AS (
    SELECT
        model_a_id,
        model_b_id,
        count(*) AS battles,
        count(DISTINCT instruction_id) AS items,
        sum(winner = 'model_a') AS wins_a,
        sum(winner = 'model_b') AS wins_b,
        sum(winner = 'tie') AS ties,
        sum(winner = 'both_bad') AS both_bad,
        sum(half_points) / 2.0 / count(*) AS win_rate
    FROM counted
    GROUP BY model_a_id, model_b_id
)
SELECT
    ma.name AS model_a,
    mb.name AS model_b,
    c.battles,
    c.items,
    c.wins_a,
    c.wins_b,
    c.ties,
    c.both_bad,
    c.win_rate
FROM counts AS c
JOIN models AS ma ON ma.id = c.model_a_id
JOIN models AS mb ON mb.id = c.model_b_id
ORDER BY c.model_a_id, c.model_b_id;
