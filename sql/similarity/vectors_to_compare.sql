-- The stored embeddings of some responses; a response whose text has none yet has NULL.
-- Grain: one row per response.
-- Parameters: :ids (JSON array of response ids), :metric_id.
SELECT r.id, r.characters = 0 AS is_empty, e.vector
FROM responses AS r
LEFT JOIN embeddings AS e ON e.metric_id = :metric_id AND e.hash = r.hash
WHERE r.id IN (SELECT value FROM json_each(:ids))
ORDER BY r.id;
