-- The stored embeddings of some instructions; an instruction without one is missing.
--
-- Grain: one row per instruction, in no particular order. embeddings.hash is instructions.hash.
-- Parameters: :metric_id, :ids (JSON array of instructions.id).
SELECT i.id, e.vector
FROM json_each(:ids) AS given
-- CROSS JOIN keeps this order of the tables; the planner's own sorted all vectors.
CROSS JOIN instructions AS i ON i.id = given.value
CROSS JOIN embeddings AS e ON e.metric_id = :metric_id AND e.hash = i.hash;
