-- Pairs of different models' answers to one instruction, in canonical order, that a metric has not measured yet.
-- Grain: one row per pair of responses, samples apart.
-- Parameters: :scenarios and :generation as in store/pool.sql; :metric_id, :after and :last (instruction ids: after the
--   one, up to the other), :model_ids (JSON array, NULL: all), :pairs ('all', or 'judged' for those with a judgment
--   only).
SELECT
    a.model_id AS model_a_id,
    b.model_id AS model_b_id,
    a.instruction_id,
    a.id AS response_a_id,
    b.id AS response_b_id,
    min(a.words, b.words) AS shorter_words,
    CASE
        WHEN min(a.characters, b.characters) = 0 THEN 0.0  -- empty answers are stored, and never eligible
        ELSE 1.0 * max(a.characters, b.characters) / min(a.characters, b.characters)
    END AS length_ratio
FROM (
    -- include store/pool
) AS i
JOIN responses AS a ON a.instruction_id = i.id
JOIN responses AS b ON b.instruction_id = a.instruction_id AND b.model_id > a.model_id
WHERE i.id > :after AND i.id <= :last
    AND (:model_ids IS NULL OR a.model_id IN (SELECT value FROM json_each(:model_ids)))
    AND (:model_ids IS NULL OR b.model_id IN (SELECT value FROM json_each(:model_ids)))
    AND (:pairs = 'all' OR EXISTS (
        SELECT 1 FROM judgments AS j WHERE j.response_a_id = a.id AND j.response_b_id = b.id))
    AND NOT EXISTS (
        SELECT 1
        FROM similarities AS s
        WHERE s.metric_id = :metric_id AND s.response_a_id = a.id AND s.response_b_id = b.id)
ORDER BY a.instruction_id, a.model_id, a.sample, b.model_id, b.sample;  -- the order of the index: nothing is sorted
