-- What an import may lead to next: how many models have answers, and whether each later stage has anything.
-- Grain: one row. Each value ends at the first row that it finds, however large the tables are.
-- Parameters: none.
SELECT
    (SELECT count(*) FROM models AS m WHERE EXISTS (SELECT 1 FROM responses AS r WHERE r.model_id = m.id)) AS answering,
    EXISTS (SELECT 1 FROM instructions) AS instructions,
    EXISTS (SELECT 1 FROM similarities) AS measured,
    (SELECT s.name FROM selection_sets AS s ORDER BY s.id DESC LIMIT 1) AS selection,
    EXISTS (
        SELECT 1
        FROM judgments AS j
        JOIN annotators AS a ON a.id = j.annotator_id
        WHERE a.kind <> 'model'
    ) AS votes;
