-- Whether the latest ranking of people's votes counts them all.
-- Grain: one row. run_id is NULL where nothing is ranked.
SELECT
    (SELECT max(run_id) FROM leaderboard WHERE scenario = 'overall') AS run_id,
    (SELECT ifnull(sum(battles) / 2, 0) FROM leaderboard WHERE scenario = 'overall') AS ranked,  -- each has two sides
    (SELECT count(*) FROM votes WHERE by_people) AS votes;
