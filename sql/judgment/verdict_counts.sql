-- How often people gave each verdict on a response pair: what Krippendorff's alpha is made of.
-- Grain: one row per scenario and combination of counts; response_pairs says how many have it. A crowd's
-- votes are left out: nobody knows which of them are by the same people.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
WITH counts AS (
    SELECT
        scenario,
        sum(winner = 'model_a') AS model_a,
        sum(winner = 'model_b') AS model_b,
        sum(winner = 'tie') AS tie,
        sum(winner = 'both_bad') AS both_bad
    FROM votes
    WHERE kind = 'person'
        AND (:scenarios IS NULL OR scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (response_a_id, response_b_id) IN (
            -- include ranking/selected_responses
        ))
    GROUP BY response_a_id, response_b_id
)
SELECT scenario, model_a, model_b, tie, both_bad, count(*) AS response_pairs
FROM counts
GROUP BY scenario, model_a, model_b, tie, both_bad
ORDER BY scenario, model_a, model_b, tie, both_bad;
