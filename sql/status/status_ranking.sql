-- Whether the latest ranking of people's votes counts them all: those on what its selections picked, if it is of some.
-- Grain: one row. run_id is NULL where nothing is ranked; selections is that ranking's JSON array (NULL: all votes, which
-- also count where one of the selections is deleted).
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
)
SELECT
    l.run_id,
    l.selections,
    l.ranked,
    (
        SELECT count(*)
        FROM votes AS v
        WHERE v.by_people
            AND (l.selections IS NULL OR EXISTS (
                SELECT 1
                FROM selections AS s
                JOIN selection_sets AS t ON t.id = s.set_id
                WHERE s.response_a_id = v.response_a_id
                    AND s.response_b_id = v.response_b_id
                    AND t.name IN (SELECT value FROM json_each(l.selections))))
    ) AS votes
FROM latest AS l;
