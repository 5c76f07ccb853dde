-- The verdicts that annotators gave when they were asked the same again: how far they agree with themselves.
-- Grain: one row per scenario, annotator, verdict that counts and verdict on the repeat, both in canonical order;
-- repeats says how many there are.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
SELECT
    again.scenario,
    again.annotator,
    again.kind,
    v.winner AS first,
    again.winner AS again,
    count(*) AS repeats
FROM verdicts AS again
JOIN votes AS v
    ON v.annotator_id = again.annotator_id
    AND v.response_a_id = again.response_a_id
    AND v.response_b_id = again.response_b_id
WHERE again.status = 'repeat'
    AND (:scenarios IS NULL OR again.scenario IN (SELECT value FROM json_each(:scenarios)))
    AND (:selections IS NULL OR (again.response_a_id, again.response_b_id) IN (
        -- include ranking/selected_responses
    ))
GROUP BY again.scenario, again.annotator, again.kind, v.winner, again.winner
ORDER BY again.scenario, again.annotator, v.winner, again.winner;
