-- One verdict per response pair, as most annotators gave it, in the order in which the pairs were first judged: the
-- battles of rank --votes majority.
-- Grain: one row per response pair. Where no verdict has most, it is a tie.
-- half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
counts AS (
    SELECT
        v.instruction_id,
        v.model_a_id,
        v.model_b_id,
        min(v.judgment_id) AS first_id,
        sum(v.winner = 'model_a') AS a,
        sum(v.winner = 'model_b') AS b,
        sum(v.winner = 'tie') AS t,
        sum(v.winner = 'both_bad') AS x
    FROM counted AS v
    GROUP BY v.response_a_id, v.response_b_id
)
SELECT
    instruction_id,
    model_a_id,
    model_b_id,
    CASE WHEN a > max(b, t, x) THEN 2 WHEN b > max(a, t, x) THEN 0 ELSE 1 END AS half_points,
    a <= max(b, t, x) AND b <= max(a, t, x) AND x <= max(a, b, t) AS tie,
    x > max(a, b, t) AS both_bad
FROM counts
ORDER BY first_id;
