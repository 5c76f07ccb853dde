-- How many response pairs a selection holds, how many of them are new, and how many a person judged.
-- Grain: one row.
-- Parameters: :set_id, :run_id (its picks count as new).
SELECT
    count(*) AS selected,
    count(*) FILTER (WHERE s.run_id = :run_id) AS new,
    count(*) FILTER (WHERE EXISTS (
        SELECT 1
        FROM judgments AS j
        JOIN annotators AS n ON n.id = j.annotator_id AND n.kind <> 'model'
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id)) AS judged
FROM selections AS s
WHERE s.set_id = :set_id;
