-- The votes that a report is about, in the order in which they were stored.
-- Grain: one row per vote. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- shown_first: which answer the annotator saw first (NULL: not known).
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
)
SELECT
    c.judgment_id,
    c.scenario,
    c.instruction_id,
    c.model_a_id,
    c.model_b_id,
    c.response_a_id,
    c.response_b_id,
    c.annotator,
    c.kind,
    c.winner,
    c.half_points,
    substr(i.instruction, 1, 200) AS opening,
    c.comment,
    j.shown_first
FROM counted AS c
JOIN instructions AS i ON i.id = c.instruction_id
JOIN judgments AS j ON j.id = c.judgment_id
ORDER BY c.judgment_id;
