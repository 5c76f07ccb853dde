-- How far an annotator has come with a selection, and how far everybody has.
-- Grain: one row.
-- Parameters: :set_id the selection; :annotator_id; :overlap, how many people judge a selected pair; :grows,
--   whether the selection is an adaptive one that grows up to its budget.
WITH verdicts AS (
    SELECT
        selection_id,
        count(*) AS people,
        max(annotator_id = :annotator_id) AS mine
    FROM taken_slots
    WHERE set_id = :set_id AND open_since IS NULL
    GROUP BY selection_id
),
growth AS (
    SELECT iif(:grows, max(t.budget - count(s.id), 0), 0) AS unpicked
    FROM selection_sets AS t
    LEFT JOIN selections AS s ON s.set_id = t.id
    WHERE t.id = :set_id
)
SELECT
    ifnull(sum(v.mine), 0) AS mine,
    -- What the annotator has judged or can still be given.
    ifnull(sum(ifnull(v.mine, 0) OR ifnull(v.people, 0) < :overlap), 0) + (SELECT unpicked FROM growth) AS possible,
    (
        SELECT count(*)
        FROM assignments AS a
        JOIN selections AS r ON r.id = a.selection_id
        WHERE r.set_id = :set_id AND a.annotator_id = :annotator_id AND a.repeat > 0 AND a.state = 'judged'
    ) AS repeats,
    ifnull(sum(min(v.people, :overlap)), 0) AS given,
    (count(*) + (SELECT unpicked FROM growth)) * :overlap AS needed
FROM selections AS s
LEFT JOIN verdicts AS v ON v.selection_id = s.id
WHERE s.set_id = :set_id;
