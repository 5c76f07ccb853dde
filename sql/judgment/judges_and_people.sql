-- The verdicts of judge models beside those of most people: how far a judge model could replace people.
-- Grain: one row per scenario, judge model, its verdict and people's; response_pairs says on how many it was so.
-- People's verdict is the one that most of them gave, each row of a crowd being one of them; a tie where none has most.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
WITH counts AS (
    SELECT
        response_a_id,
        response_b_id,
        sum(winner = 'model_a') AS a,
        sum(winner = 'model_b') AS b,
        sum(winner = 'tie') AS t,
        sum(winner = 'both_bad') AS x
    FROM votes
    WHERE by_people
        AND (:scenarios IS NULL OR scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (response_a_id, response_b_id) IN (
            -- include ranking/selected_responses
        ))
    GROUP BY response_a_id, response_b_id
),
people AS (
    SELECT
        response_a_id,
        response_b_id,
        CASE
            WHEN a > max(b, t, x) THEN 'model_a'
            WHEN b > max(a, t, x) THEN 'model_b'
            WHEN x > max(a, b, t) THEN 'both_bad'
            ELSE 'tie'
        END AS winner
    FROM counts
)
SELECT v.scenario, v.annotator AS judge, v.winner AS judged, p.winner AS people, count(*) AS response_pairs
FROM votes AS v
JOIN people AS p ON p.response_a_id = v.response_a_id AND p.response_b_id = v.response_b_id
WHERE v.kind = 'model'
GROUP BY v.scenario, v.annotator, v.winner, p.winner
ORDER BY v.scenario, v.annotator, v.winner, p.winner;
