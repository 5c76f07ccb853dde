-- The votes with the response pairs that they are on: what a replay splits into gold and pool.
-- Grain: one row per vote. Those of one model pair stand together, within it those of one instruction, and within that
-- those of one response pair. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- similarity_id is NULL where the response pair is not measured with the metric.
-- Parameters: :metric_id, :model_ids (JSON array of models.id that both must be of; NULL: all); :scenarios,
--   :selections, :kind, :names and :without as in ranking/counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
)
SELECT
    v.model_a_id,
    v.model_b_id,
    v.instruction_id,
    v.response_a_id,
    v.response_b_id,
    v.half_points,
    s.id AS similarity_id
FROM counted AS v
LEFT JOIN similarities AS s
    ON s.metric_id = :metric_id AND s.response_a_id = v.response_a_id AND s.response_b_id = v.response_b_id
WHERE :model_ids IS NULL
    OR (v.model_a_id IN (SELECT value FROM json_each(:model_ids))
        AND v.model_b_id IN (SELECT value FROM json_each(:model_ids)))
ORDER BY v.model_a_id, v.model_b_id, v.instruction_id, v.response_a_id, v.response_b_id, v.judgment_id;
