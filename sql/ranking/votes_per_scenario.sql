-- What each leaderboard rests on: battles, ties, items and annotators; crowds is a JSON array of the names of crowds,
-- which are not among the annotators, since nobody knows how many people they are.
-- Grain: one row per scenario with votes, and the row 'overall' for all of them together. An item is an instruction
-- with all its votes for one model pair.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
items AS (
    SELECT scenario, count(*) AS battles, sum(winner = 'tie') AS ties, sum(winner = 'both_bad') AS both_bad
    FROM counted
    GROUP BY scenario, instruction_id, model_a_id, model_b_id
),
counts AS (
    SELECT scenario, sum(battles) AS battles, sum(ties) AS ties, sum(both_bad) AS both_bad, count(*) AS items
    FROM items
    GROUP BY scenario
    UNION ALL
    -- HAVING: without votes there is no overall leaderboard either
    SELECT 'overall', sum(battles), sum(ties), sum(both_bad), count(*)
    FROM items
    HAVING count(*) > 0
),
-- Apart from the counts, since one annotator may have voted in several scenarios.
voters AS (
    SELECT
        scenario,
        count(DISTINCT annotator_id) FILTER (WHERE kind <> 'crowd') AS annotators,
        json_group_array(DISTINCT annotator) FILTER (WHERE kind = 'crowd') AS crowds
    FROM counted
    GROUP BY scenario
    UNION ALL
    SELECT
        'overall',
        count(DISTINCT annotator_id) FILTER (WHERE kind <> 'crowd'),
        json_group_array(DISTINCT annotator) FILTER (WHERE kind = 'crowd')
    FROM counted
)
SELECT c.scenario, c.battles, c.ties, c.both_bad, c.items, v.annotators, v.crowds
FROM counts AS c
JOIN voters AS v ON v.scenario = c.scenario
ORDER BY c.scenario <> 'overall', c.scenario;
