-- The models that have answers.
-- Grain: one row per model.
SELECT DISTINCT m.name
FROM responses AS r
JOIN models AS m ON m.id = r.model_id;
