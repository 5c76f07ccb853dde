-- The battles of one leaderboard in the order in which they were stored: Elo's input.
-- Grain: one row per judgment. instruction_id and the two models together say which item it belongs to.
-- half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names (JSON array of annotators' names).
SELECT
    i.id AS instruction_id,
    ra.model_id AS model_a_id,
    rb.model_id AS model_b_id,
    CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END AS half_points
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id
WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
  AND (:scenario IS NULL OR i.scenario = :scenario)
ORDER BY j.id;
