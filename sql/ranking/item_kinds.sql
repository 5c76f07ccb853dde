-- The counts that Bradley–Terry and its bootstrap need: how many items of each model pair had the same outcome.
-- Grain: one row per model pair, number of votes and half points; an item is an instruction with all its votes for
-- one model pair. half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss, summed over the votes.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names (JSON array of annotators' names).
WITH items AS (
    SELECT ra.model_id AS model_a_id, rb.model_id AS model_b_id, count(*) AS votes,
           sum(CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END) AS half_points
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN responses AS rb ON rb.id = j.response_b_id
    JOIN instructions AS i ON i.id = ra.instruction_id
    WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
      AND (:scenario IS NULL OR i.scenario = :scenario)
    GROUP BY i.id, ra.model_id, rb.model_id
)
SELECT model_a_id, model_b_id, votes, half_points, count(*) AS items
FROM items
GROUP BY model_a_id, model_b_id, votes, half_points
ORDER BY model_a_id, model_b_id, votes, half_points;
