-- How many of the votes are on what each selection picked, and how many on what none did.
-- Grain: one row per selection that has votes, in the order in which they were begun, and one with selection NULL where
-- votes are of none. A vote counts for each selection that picked its response pair.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
picked AS (
    SELECT DISTINCT t.id AS set_id, t.name AS selection, s.response_a_id, s.response_b_id
    FROM selections AS s
    JOIN selection_sets AS t ON t.id = s.set_id
)
SELECT p.selection, count(*) AS votes
FROM counted AS c
LEFT JOIN picked AS p ON p.response_a_id = c.response_a_id AND p.response_b_id = c.response_b_id
GROUP BY p.set_id
ORDER BY p.set_id IS NULL, p.set_id;
