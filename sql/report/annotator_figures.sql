-- How annotators judge: ties, how often the answer that stood first won, how long a verdict takes.
-- Grain: one row per annotator with a verdict. decided: verdicts for one of the answers where it is known which stood
-- first; seconds_median and hours are of the `timed` verdicts.
-- Parameters: :scenario (NULL: all).
WITH verdicts AS (
    SELECT n.name AS annotator, n.kind, ra.id || ' ' || j.response_b_id AS item, j.winner, j.shown_first, j.seconds,
           j.comment
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN instructions AS i ON i.id = ra.instruction_id
    WHERE :scenario IS NULL OR i.scenario = :scenario
),
in_order AS (
    SELECT
        annotator, kind, item, winner, shown_first, seconds, comment,
        count(seconds) OVER (PARTITION BY annotator) AS timed,
        row_number() OVER (PARTITION BY annotator ORDER BY seconds NULLS LAST) AS place
    FROM verdicts
)
SELECT
    annotator,
    kind,
    count(*) AS verdicts,
    count(DISTINCT item) AS items,
    sum(winner = 'tie') AS ties,
    sum(winner = 'both_bad') AS both_bad,
    sum(shown_first IS NOT NULL AND winner IN ('model_a', 'model_b')) AS decided,
    ifnull(sum(winner = shown_first), 0) AS first_won,
    sum(ifnull(comment, '') <> '') AS comments,
    max(timed) AS timed,
    -- the median: the one in the middle, or the mean of the two
    avg(CASE WHEN place IN ((timed + 1) / 2, (timed + 2) / 2) THEN seconds END) AS seconds_median,
    sum(seconds) / 3600 AS hours
FROM in_order
GROUP BY kind, annotator
ORDER BY kind DESC, annotator;
