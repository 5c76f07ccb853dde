-- Returns what MAD-Eval's pair files hold, for every response pair that somebody judged, in canonical order.
-- Grain: one row per judgment.
-- Parameters: :metric_id the metric whose scores are given (NULL: none); :scenarios, :selections, :kind, :names and
--   :without as in ranking/counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
)
SELECT
    ma.name AS model_a,
    mb.name AS model_b,
    i.instruction,
    i.input,
    i.reference_answer,
    v.winner,
    ra.response AS response_1,
    rb.response AS response_2,
    s.score,
    s.explanation
FROM counted AS v
JOIN instructions AS i ON i.id = v.instruction_id
JOIN responses AS ra ON ra.id = v.response_a_id
JOIN responses AS rb ON rb.id = v.response_b_id
JOIN models AS ma ON ma.id = v.model_a_id
JOIN models AS mb ON mb.id = v.model_b_id
LEFT JOIN similarities AS s
    ON s.metric_id = :metric_id AND s.response_a_id = v.response_a_id AND s.response_b_id = v.response_b_id
ORDER BY ma.id, mb.id, v.judgment_id;
