-- The response pairs that a selection may pick: the one definition of eligible, which the queries that pick, count or
-- show them include. Both answers have words enough, neither is empty, and their lengths do not differ too much.
-- Grain: one row per eligible response pair; several of one instruction where a model gave several answers.
-- Parameters: :min_words (both answers have more words than this; 0: off), :max_length_ratio (longer by shorter in
--   characters is less than this; 0: off); :metric_id, :scenarios, :generation, :pairs as in candidates.sql.
SELECT
    c.id, c.pair_id, c.instruction_id, c.response_a_id, c.response_b_id, c.score, c.shorter_words, c.length_ratio
FROM (
    -- include selection/candidates
) AS c
WHERE c.length_ratio > 0  -- 0: one answer is empty
    AND (:min_words = 0 OR c.shorter_words > :min_words)
    AND (:max_length_ratio = 0 OR c.length_ratio < :max_length_ratio);
