-- Returns an annotator's name and how many assignments of a selection they have had: what the next draw is seeded with.
-- Grain: one row.
-- Parameters: :set_id the selection; :annotator_id.
SELECT
    n.name AS annotator,
    (
        SELECT count(*)
        FROM assignments AS a
        JOIN selections AS s ON s.id = a.selection_id
        WHERE s.set_id = :set_id AND a.annotator_id = n.id
    ) AS assignments
FROM annotators AS n
WHERE n.id = :annotator_id;
