-- How annotators judge: ties, how often the answer that stood first won, how long a verdict takes.
-- Grain: one row per scenario ('overall' for all) and annotator, and one with annotator NULL for all of a kind. Every
-- verdict counts, repeats too. decided: verdicts for one of the answers where it is known which stood first.
-- Parameters: :scenario (NULL: all scenarios, and the rows 'overall').
WITH verdicts AS (
    SELECT
        i.scenario,
        n.name AS annotator,
        n.kind,
        j.response_a_id || ' ' || j.response_b_id AS item,
        j.winner,
        j.winner IN ('model_a', 'model_b') AND j.shown_first IS NOT NULL AS decided,
        j.winner = j.shown_first AS first_won,
        ifnull(d.repeat > 0, 0) AS repeated,
        j.seconds
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS r ON r.id = j.response_a_id
    JOIN instructions AS i ON i.id = r.instruction_id
    LEFT JOIN assignments AS d ON d.id = j.assignment_id
    WHERE :scenario IS NULL OR i.scenario = :scenario
),
by_scenario AS (
    SELECT scenario, annotator, kind, item, winner, decided, first_won, repeated, seconds FROM verdicts
    UNION ALL
    SELECT 'overall', annotator, kind, item, winner, decided, first_won, repeated, seconds FROM verdicts
    WHERE :scenario IS NULL
),
of_whom AS (
    SELECT scenario, annotator, kind, annotator AS voter, item, winner, decided, first_won, repeated, seconds
    FROM by_scenario
    UNION ALL
    SELECT scenario, NULL, kind, annotator, item, winner, decided, first_won, repeated, seconds
    FROM by_scenario
),
in_order AS (
    SELECT
        scenario, annotator, kind, voter, item, winner, decided, first_won, repeated, seconds,
        count(seconds) OVER whose AS timed,
        row_number() OVER (whose ORDER BY seconds NULLS LAST) AS place
    FROM of_whom
    WINDOW whose AS (PARTITION BY scenario, kind, annotator)
)
SELECT
    scenario,
    annotator,
    kind,
    count(DISTINCT voter) AS annotators,
    count(*) AS verdicts,
    count(DISTINCT item) AS items,
    -- neither the first verdict of its annotator on the item nor asked for again
    count(*) - sum(repeated) - count(DISTINCT CASE WHEN NOT repeated THEN voter || ' ' || item END) AS later,
    sum(winner = 'tie') AS ties,
    sum(winner = 'both_bad') AS both_bad,
    sum(decided) AS decided,
    sum(decided AND first_won) AS first_won,
    -- the median: the one in the middle, or the mean of the two
    avg(CASE WHEN place IN ((timed + 1) / 2, (timed + 2) / 2) THEN seconds END) AS seconds
FROM in_order
GROUP BY scenario, kind, annotator
ORDER BY scenario <> 'overall', scenario, kind DESC, annotator;
