-- Returns what MAD-Eval's pair files hold, for every response pair that somebody judged, in canonical order.
-- Grain: one row per judgment.
-- Parameters: :kind 'person' or 'model' (NULL: both); :names JSON array of annotators (NULL: all);
-- :scenario (NULL: all);
--   :metric_id the metric whose scores are wanted (NULL: none).
SELECT
    ma.name AS model_a,
    mb.name AS model_b,
    i.instruction,
    i.input,
    i.reference_answer,
    j.winner,
    ra.response AS response_1,
    rb.response AS response_2,
    s.score,
    s.explanation
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id
JOIN models AS ma ON ma.id = ra.model_id
JOIN models AS mb ON mb.id = rb.model_id
LEFT JOIN similarities AS s
    ON s.metric_id = :metric_id AND s.response_a_id = j.response_a_id AND s.response_b_id = j.response_b_id
WHERE (:kind IS NULL OR n.kind = :kind)
    AND (:names IS NULL OR n.name IN (SELECT value FROM json_each(:names)))
    AND (:scenario IS NULL OR i.scenario = :scenario)
ORDER BY ma.id, mb.id, j.id;
