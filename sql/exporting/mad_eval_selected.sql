-- Returns what MAD-Eval's pair files hold, for the response pairs of one selection, in canonical order.
-- Grain: one row per selected pair and judgment; a pair without a judgment has one row, its winner NULL.
-- Parameters: :set_id the selection; :scenarios, :selections, :kind, :names, :without as in ranking/counted_votes.sql.
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
    m.explanation
FROM selections AS s
JOIN selection_sets AS t ON t.id = s.set_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
JOIN models AS ma ON ma.id = ra.model_id
JOIN models AS mb ON mb.id = rb.model_id
LEFT JOIN similarities AS m
    ON m.metric_id = t.metric_id AND m.response_a_id = s.response_a_id AND m.response_b_id = s.response_b_id
LEFT JOIN counted AS v ON v.response_a_id = s.response_a_id AND v.response_b_id = s.response_b_id
WHERE s.set_id = :set_id AND (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios)))
ORDER BY ma.id, mb.id, s.rank, v.judgment_id;
