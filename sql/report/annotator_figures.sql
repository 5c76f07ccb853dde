-- How annotators judge: ties, how often the answer that stood first won, how long a verdict takes.
-- Grain: one row per annotator with a verdict. decided: verdicts for one of the answers where it is known which stood
-- first; seconds_median and hours are of the `timed` verdicts.
-- Parameters: :scenario (NULL: all).
WITH in_order AS (
    SELECT
        v.annotator, v.kind, v.response_a_id || ' ' || v.response_b_id AS response_pair, v.winner, v.shown_first,
        v.seconds, v.comment,
        count(v.seconds) OVER (PARTITION BY v.annotator) AS timed,
        row_number() OVER (PARTITION BY v.annotator ORDER BY v.seconds NULLS LAST) AS number
    FROM votes AS v
    WHERE :scenario IS NULL OR v.scenario = :scenario
)
SELECT
    annotator,
    kind,
    count(*) AS verdicts,
    count(DISTINCT response_pair) AS response_pairs,
    sum(winner = 'tie') AS ties,
    sum(winner = 'both_bad') AS both_bad,
    sum(shown_first IS NOT NULL AND winner IN ('model_a', 'model_b')) AS decided,
    ifnull(sum(winner = shown_first), 0) AS first_won,
    sum(ifnull(comment, '') <> '') AS comments,
    max(timed) AS timed,
    -- the median: the one in the middle, or the mean of the two
    avg(CASE WHEN number IN ((timed + 1) / 2, (timed + 2) / 2) THEN seconds END) AS seconds_median,
    sum(seconds) / 3600 AS hours
FROM in_order
GROUP BY kind, annotator
ORDER BY kind DESC, annotator;
