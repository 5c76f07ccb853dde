-- Whether the latest ranking of people's votes counts them all: those on what its selections picked, if it is of some.
-- Grain: one row. run_id is NULL where nothing is ranked; selections is that ranking's JSON array (NULL: all votes, as
-- where one of the selections is deleted). `newer` are the votes that came in after it, as a revised one does without
-- changing how many there are: by a later run, or on a page that was open all the while.
-- Parameters: none.
WITH latest AS (
    SELECT
        max(run_id) AS run_id,
        max(iif(EXISTS (
            SELECT 1 FROM json_each(selections) WHERE value NOT IN (SELECT name FROM selection_sets)
        ), NULL, selections)) AS selections,
        ifnull(sum(battles) / 2, 0) AS ranked  -- each has two sides
    FROM leaderboard
    WHERE scenario = 'overall'
),
counted AS (
    SELECT v.judgment_id, v.run_id, iif(v.source = 'page', v.created_at, NULL) AS judged_at
    FROM votes AS v
    CROSS JOIN latest AS l
    WHERE v.by_people
        AND (l.selections IS NULL OR EXISTS (
            SELECT 1
            FROM selections AS s
            JOIN selection_sets AS t ON t.id = s.set_id
            WHERE s.response_a_id = v.response_a_id
                AND s.response_b_id = v.response_b_id
                AND t.name IN (SELECT value FROM json_each(l.selections))))
)
SELECT
    l.run_id,
    l.selections,
    l.ranked,
    count(c.judgment_id) AS votes,
    count(c.judgment_id) FILTER (WHERE c.run_id > l.run_id OR c.judged_at > r.started_at) AS newer
FROM latest AS l
LEFT JOIN runs AS r ON r.id = l.run_id
LEFT JOIN counted AS c ON TRUE;
