-- How often two annotators said the same about the same two answers; crowds apart.
-- Grain: one row per two annotators with a response pair in common.
-- Parameters: :scenarios, :selections as in judgment/pairs_of_annotators.sql.
SELECT
    annotator_a,
    kind_a,
    annotator_b,
    kind_b,
    sum(response_pairs) AS response_pairs,
    sum(response_pairs * (winner_a = winner_b)) AS agreed,
    1.0 * sum(response_pairs * (winner_a = winner_b)) / sum(response_pairs) AS agreement
FROM (
    -- include judgment/pairs_of_annotators
)
GROUP BY annotator_a, annotator_b
ORDER BY kind_a DESC, kind_b DESC, annotator_a, annotator_b;
