-- How long the answers of one model at one stage have been: what a dry run expects of the next ones.
-- Grain: one row; tokens_out is NULL where nothing was answered yet.
-- Parameters: :stage; :model_id.
WITH latest AS (
    SELECT tokens_out
    FROM calls
    WHERE model_id = :model_id AND stage = :stage AND outcome IN ('ok', 'truncated') AND tokens_out IS NOT NULL
    -- The latest ones: a prompt that was changed on the way changes the answers' length.
    ORDER BY id DESC
    LIMIT 1000
)
SELECT avg(tokens_out) AS tokens_out
FROM latest;
