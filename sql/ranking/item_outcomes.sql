-- The counts that Bradley–Terry and its bootstrap need: how many items of each model pair had the same outcome.
-- Grain: one row per model pair, number of votes and half points; an item is an instruction with all its votes for
-- one model pair. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss, summed over the votes.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
items AS (
    SELECT model_a_id, model_b_id, count(*) AS votes, sum(half_points) AS half_points
    FROM counted
    GROUP BY instruction_id, model_a_id, model_b_id
)
SELECT model_a_id, model_b_id, votes, half_points, count(*) AS items
FROM items
GROUP BY model_a_id, model_b_id, votes, half_points
ORDER BY model_a_id, model_b_id, votes, half_points;
