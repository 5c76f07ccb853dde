-- How alike the answers of each pair of models are, as counts: what a selection could pick from.
-- Grain: one row per pair of models and bin that holds something; bin n has the scores from n × :width to
-- (n + 1) × :width.
-- Parameters: :width; :scenarios, :generation as in selection/outside_pool.sql;
--   the others as in eligible.sql.
WITH eligible AS NOT MATERIALIZED (
    -- include selection/eligible
)
SELECT
    e.pair_id,
    CAST(e.score / :width AS INTEGER) - (e.score < 0) AS bin,  -- CAST cuts towards 0
    count(*) AS response_pairs
FROM pairs AS p
CROSS JOIN eligible AS e ON e.pair_id = p.id  -- in the order of the index, which holds all that is read
WHERE e.instruction_id NOT IN (
    -- include selection/outside_pool
)
GROUP BY e.pair_id, bin
ORDER BY e.pair_id, bin;
