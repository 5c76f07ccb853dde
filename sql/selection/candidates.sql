-- The response pairs among which a selection looks: measured, and judged or not as it asks. Whoever includes this keeps
-- to the pool: what walks an index and stops asks row by row (EXISTS), what reads all rows makes a list of what is
-- outside first (NOT IN selection/outside_pool).
-- Grain: one row per measured response pair; several of one instruction where a model gave several answers.
-- Parameters: :metric_id (metrics.id), :pairs ('all', 'judged': those with a judgment only, or 'unjudged': those that
--   no person judged).
SELECT
    s.id, s.pair_id, s.instruction_id, s.response_a_id, s.response_b_id, s.score, s.shorter_words, s.length_ratio
FROM similarities AS s
WHERE s.metric_id = :metric_id
    AND (:pairs <> 'judged' OR EXISTS (
        SELECT 1 FROM judgments AS j WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
    AND (:pairs <> 'unjudged' OR NOT EXISTS (
        SELECT 1
        FROM judgments AS j
        JOIN annotators AS n ON n.id = j.annotator_id AND n.kind <> 'model'
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id));
