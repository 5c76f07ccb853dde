-- The verdicts of every two annotators who judged the same response pairs: how far they agree.
-- Grain: one row per scenario, two annotators, and what either said; response_pairs says on how many it was so. Crowds
-- are left out, as in the view agreement.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
WITH scoped AS (
    SELECT scenario, annotator_id, annotator, kind, response_a_id, response_b_id, winner
    FROM votes
    WHERE kind <> 'crowd'
        AND (:scenarios IS NULL OR scenario IN (SELECT value FROM json_each(:scenarios)))
        AND (:selections IS NULL OR (response_a_id, response_b_id) IN (
            -- include ranking/selected_responses
        ))
)
SELECT
    a.scenario,
    a.annotator AS annotator_a,
    a.kind AS kind_a,
    b.annotator AS annotator_b,
    b.kind AS kind_b,
    a.winner AS winner_a,
    b.winner AS winner_b,
    count(*) AS response_pairs
FROM scoped AS a
JOIN scoped AS b
    ON b.response_a_id = a.response_a_id AND b.response_b_id = a.response_b_id AND b.annotator_id > a.annotator_id
GROUP BY a.scenario, a.annotator_id, b.annotator_id, a.winner, b.winner
ORDER BY a.scenario, a.annotator_id, b.annotator_id, a.winner, b.winner;
