-- How far an annotator has come with a selection, and how far everybody has.
-- Grain: one row.
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge an item.
WITH verdicts AS (
    SELECT
        selection_id,
        count(*) AS people,
        max(annotator_id = :annotator_id) AS mine
    FROM taken_slots
    WHERE set_id = :set_id AND open_since IS NULL
    GROUP BY selection_id
)
SELECT
    count(*) AS items,
    ifnull(sum(v.mine), 0) AS mine,
    -- What the annotator has judged or can still be given.
    sum(ifnull(v.mine, 0) OR ifnull(v.people, 0) < :overlap) AS possible,
    (
        SELECT count(*)
        FROM assignments AS a
        JOIN selections AS r ON r.id = a.selection_id
        WHERE r.set_id = :set_id AND a.annotator_id = :annotator_id AND a.repeat > 0 AND a.state = 'judged'
    ) AS repeats,
    ifnull(sum(min(v.people, :overlap)), 0) AS given,
    count(*) * :overlap AS wanted
FROM selections AS s
LEFT JOIN verdicts AS v ON v.selection_id = s.id
WHERE s.set_id = :set_id;
