-- The votes that a report is about, in the order in which they were stored.
-- Grain: one row per judgment. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names (JSON array of annotators' names).
SELECT
    j.id AS judgment_id,
    i.scenario,
    i.id AS instruction_id,
    ra.model_id AS model_a_id,
    rb.model_id AS model_b_id,
    j.response_a_id,
    j.response_b_id,
    n.name AS annotator,
    j.winner,
    CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END AS half_points,
    substr(i.instruction, 1, 200) AS opening,
    j.comment
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id
WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
    AND (:scenario IS NULL OR i.scenario = :scenario)
ORDER BY j.id;
