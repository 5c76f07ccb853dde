-- The sides of a selected pair are exchanged: what its annotators saw first has the other name now.
-- Changes: assignments. Parameters: :selection_id.
UPDATE assignments
SET shown_first = CASE shown_first WHEN 'model_a' THEN 'model_b' ELSE 'model_a' END
WHERE selection_id = :selection_id;
