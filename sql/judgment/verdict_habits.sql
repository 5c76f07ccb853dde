-- How annotators judge: ties, how often the answer that stood first won, how long a verdict takes.
-- Grain: one row per scenario ('overall' for all) and annotator, and one with annotator NULL for all of a kind. Votes
-- are what counts, one per annotator and response pair, of a crowd one per row; repeats and revised verdicts are
-- counted beside them. decided: votes for one of the answers where it is known which stood first; seconds (their
-- median) and hours are of the `timed` verdicts, whether they count or not.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
WITH uttered AS (
    SELECT
        v.scenario,
        v.annotator,
        v.kind,
        v.response_a_id || ' ' || v.response_b_id AS response_pair,
        v.status,
        CASE v.status WHEN 'counted' THEN v.winner END AS winner,
        v.status = 'counted' AND v.winner IN ('model_a', 'model_b') AND v.shown_first IS NOT NULL AS decided,
        v.winner = v.shown_first AS first_won,
        v.seconds,
        ifnull(v.comment, '') <> '' AS commented
    FROM verdicts AS v
    WHERE (:scenarios IS NULL OR v.scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (v.response_a_id, v.response_b_id) IN (
            -- include ranking/selected_responses
        ))
),
by_scenario AS (
    SELECT scenario, annotator, kind, response_pair, status, winner, decided, first_won, seconds, commented
    FROM uttered
    UNION ALL
    SELECT 'overall', annotator, kind, response_pair, status, winner, decided, first_won, seconds, commented
    FROM uttered
),
of_whom AS (
    SELECT scenario, annotator, kind, annotator AS voter, response_pair, status, winner, decided, first_won, seconds,
        commented
    FROM by_scenario
    UNION ALL
    SELECT scenario, NULL, kind, annotator, response_pair, status, winner, decided, first_won, seconds,
        commented
    FROM by_scenario
),
in_order AS (
    SELECT
        scenario, annotator, kind, voter, response_pair, status, winner, decided, first_won, seconds, commented,
        count(seconds) OVER whose AS timed,
        row_number() OVER (whose ORDER BY seconds NULLS LAST) AS number
    FROM of_whom
    WINDOW whose AS (PARTITION BY scenario, kind, annotator)
)
SELECT
    scenario,
    annotator,
    kind,
    count(DISTINCT voter) AS annotators,
    count(winner) AS votes,
    count(DISTINCT response_pair) AS response_pairs,
    sum(status = 'repeat') AS repeats,
    sum(status = 'revised') AS revised,
    ifnull(sum(winner = 'tie'), 0) AS ties,
    ifnull(sum(winner = 'both_bad'), 0) AS both_bad,
    sum(decided) AS decided,
    sum(decided AND first_won) AS first_won,
    -- the median: the one in the middle, or the mean of the two
    avg(CASE WHEN number IN ((timed + 1) / 2, (timed + 2) / 2) THEN seconds END) AS seconds,
    max(timed) AS timed,
    sum(seconds) / 3600 AS hours,
    sum(commented) AS comments
FROM in_order
GROUP BY scenario, kind, annotator
ORDER BY scenario <> 'overall', scenario, kind DESC, annotator;
