-- The battles of one leaderboard in the order in which they were stored: Elo's input.
-- Grain: one row per judgment. instruction_id and the two models together say which item it belongs to.
-- half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
)
SELECT instruction_id, model_a_id, model_b_id, half_points
FROM counted
ORDER BY judgment_id;
