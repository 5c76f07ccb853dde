-- How many pairs of different models' answers to one instruction there are, and how many a metric has measured.
-- Grain: one row per pair of models that answered one instruction in common.
-- Parameters: :scenarios and :generation as in store/pool.sql; :metric_id (NULL: a metric that has measured nothing
--   yet), :model_ids (JSON array, NULL: all), :pairs ('all', or 'judged' for those with a judgment only).
SELECT
    a.model_id AS model_a_id,
    b.model_id AS model_b_id,
    count(*) AS possible,
    count(s.id) AS known
FROM (
    -- include store/pool
) AS i
JOIN responses AS a ON a.instruction_id = i.id
JOIN responses AS b ON b.instruction_id = a.instruction_id AND b.model_id > a.model_id
LEFT JOIN similarities AS s ON s.metric_id = :metric_id AND s.response_a_id = a.id AND s.response_b_id = b.id
WHERE (:model_ids IS NULL OR a.model_id IN (SELECT value FROM json_each(:model_ids)))
    AND (:model_ids IS NULL OR b.model_id IN (SELECT value FROM json_each(:model_ids)))
    AND (:pairs = 'all' OR EXISTS (
        SELECT 1 FROM judgments AS j WHERE j.response_a_id = a.id AND j.response_b_id = b.id))
GROUP BY a.model_id, b.model_id;
