-- Answers without an embedding of a metric that stand in a pair which the metric has not measured.
-- Grain: one row per response, in the order of their ids; several may have the same text. Empty answers are left out.
-- Parameters: :scenarios and :generation as in store/pool.sql; :metric_id (NULL: a metric that has no row yet),
--   :model_ids (JSON array, NULL: all), :pairs ('all', or 'judged' for those with a judgment only), :after (response
--   id), :page (at most so many).
SELECT r.id, r.hash, r.response AS text
FROM responses AS r
JOIN (
    -- include store/pool
) AS i ON i.id = r.instruction_id
WHERE r.id > :after
    AND r.characters > 0
    AND (:model_ids IS NULL OR r.model_id IN (SELECT value FROM json_each(:model_ids)))
    AND NOT EXISTS (SELECT 1 FROM embeddings AS e WHERE e.metric_id = :metric_id AND e.hash = r.hash)
    AND EXISTS (
        SELECT 1
        FROM responses AS o
        WHERE o.instruction_id = r.instruction_id
            AND o.model_id <> r.model_id
            AND (:model_ids IS NULL OR o.model_id IN (SELECT value FROM json_each(:model_ids)))
            AND (:pairs = 'all' OR EXISTS (
                SELECT 1
                FROM judgments AS j
                WHERE (j.response_a_id, j.response_b_id) IN ((r.id, o.id), (o.id, r.id))))
            AND NOT EXISTS (
                SELECT 1
                FROM similarities AS s
                WHERE s.metric_id = :metric_id
                    AND s.response_a_id = iif(r.model_id < o.model_id, r.id, o.id)
                    AND s.response_b_id = iif(r.model_id < o.model_id, o.id, r.id)))
ORDER BY r.id
LIMIT :page;
