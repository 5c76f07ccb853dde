-- All response pairs that a selection may pick from, for the strategies that look at more than the lowest scores.
--
-- Grain: one row per eligible response pair. Those of one model pair stand together, and of several response pairs of
-- one instruction the one that stands for it (lowest score, then response ids) comes first. `words` are about those of
-- both answers: the longer one's are taken from the ratio of the lengths in characters.
-- Parameters: :model_ids as in mad_picks.sql; :scenarios, :generation as in selection/outside_pool.sql;
--   the others as in eligible.sql.
WITH eligible AS NOT MATERIALIZED (
    -- include selection/eligible
)
SELECT p.id AS pair_id, e.instruction_id, e.id AS similarity_id, e.score,
    e.shorter_words * (1 + e.length_ratio) AS words
FROM pairs AS p
CROSS JOIN eligible AS e ON e.pair_id = p.id  -- in the order of the index: nothing is sorted
WHERE e.instruction_id NOT IN (
    -- include selection/outside_pool
)
    AND (:model_ids IS NULL
        OR (p.model_a_id IN (SELECT value FROM json_each(:model_ids))
            AND p.model_b_id IN (SELECT value FROM json_each(:model_ids))))
ORDER BY p.id, e.score, e.instruction_id, e.response_a_id, e.response_b_id;
