-- How annotators judge: ties, how often the answer that stood first won, how long a verdict takes.
-- Grain: one row per scenario ('overall' for all) and annotator, and one with annotator NULL for all of a kind. Every
-- verdict counts, repeats too. decided: verdicts for one of the answers where it is known which stood first;
-- seconds (their median) and hours are of the `timed` verdicts.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
WITH verdicts AS (
    SELECT
        v.scenario,
        v.annotator,
        v.kind,
        v.response_a_id || ' ' || v.response_b_id AS response_pair,
        v.winner,
        v.winner IN ('model_a', 'model_b') AND v.shown_first IS NOT NULL AS decided,
        v.winner = v.shown_first AS first_won,
        ifnull(d.repeat > 0, 0) AS repeated,
        v.seconds,
        ifnull(v.comment, '') <> '' AS commented
    FROM votes AS v
    LEFT JOIN assignments AS d ON d.id = v.assignment_id
    WHERE (:scenarios IS NULL OR v.scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (v.response_a_id, v.response_b_id) IN (
            -- include ranking/selected_responses
        ))
),
by_scenario AS (
    SELECT scenario, annotator, kind, response_pair, winner, decided, first_won, repeated, seconds, commented
    FROM verdicts
    UNION ALL
    SELECT 'overall', annotator, kind, response_pair, winner, decided, first_won, repeated, seconds, commented
    FROM verdicts
),
of_whom AS (
    SELECT scenario, annotator, kind, annotator AS voter, response_pair, winner, decided, first_won, repeated, seconds,
        commented
    FROM by_scenario
    UNION ALL
    SELECT scenario, NULL, kind, annotator, response_pair, winner, decided, first_won, repeated, seconds,
        commented
    FROM by_scenario
),
in_order AS (
    SELECT
        scenario, annotator, kind, voter, response_pair, winner, decided, first_won, repeated, seconds, commented,
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
    count(*) AS verdicts,
    count(DISTINCT response_pair) AS response_pairs,
    -- neither the first verdict of its annotator on the pair nor asked for again
    count(*) - sum(repeated) - count(DISTINCT CASE WHEN NOT repeated THEN voter || ' ' || response_pair END) AS later,
    sum(winner = 'tie') AS ties,
    sum(winner = 'both_bad') AS both_bad,
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
