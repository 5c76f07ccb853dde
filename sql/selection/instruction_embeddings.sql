-- The stored embeddings of some instructions; an instruction without one is missing.
--
-- Grain: one row per instruction, by id. embeddings.hash is instructions.hash.
-- Parameters: :metric_id, :ids (JSON array of instructions.id).
SELECT i.id, e.vector
FROM instructions AS i
JOIN embeddings AS e ON e.metric_id = :metric_id AND e.hash = i.hash
WHERE i.id IN (SELECT value FROM json_each(:ids))
ORDER BY i.id;
