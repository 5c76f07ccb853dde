-- The parameters of the last run in which an annotator judged as a model.
-- Grain: one row, or none.
-- Parameters: :annotator, the name.
SELECT u.parameters
FROM annotators AS n
JOIN judgments AS j ON j.annotator_id = n.id
JOIN runs AS u ON u.id = j.run_id
WHERE n.name = :annotator AND u.command = 'judge'
ORDER BY j.id DESC
LIMIT 1;
