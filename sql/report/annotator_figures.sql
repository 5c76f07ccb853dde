-- How annotators judge, each by themselves: what verdict_habits.sql counts, for the report.
-- Grain: one row per annotator with a verdict.
-- Parameters: :scenarios, :selections as in judgment/verdict_habits.sql.
SELECT
    annotator, kind, votes, response_pairs, repeats, revised, ties, both_bad, decided, first_won, comments, timed,
    seconds AS seconds_median, hours
FROM (
    -- include judgment/verdict_habits
)
WHERE annotator IS NOT NULL AND scenario = 'overall'
ORDER BY kind DESC, annotator;
