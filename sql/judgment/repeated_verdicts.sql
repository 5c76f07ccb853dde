-- The verdicts that annotators gave when they were asked the same again: how far they agree with themselves.
-- Grain: one row per scenario, annotator, first verdict and verdict on the repeat, both in canonical order; repeats
-- says how many there are. Each repeat is compared with the verdict on the pair's first assignment.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in ranking/selected_responses.sql).
SELECT
    again.scenario,
    again.annotator,
    again.kind,
    before.winner AS first,
    again.winner AS again,
    count(*) AS repeats
FROM assignments AS d
JOIN votes AS again ON again.assignment_id = d.id
JOIN assignments AS o ON o.selection_id = d.selection_id AND o.annotator_id = d.annotator_id AND o.repeat = 0
-- Should the assignment have several verdicts, the first counts.
JOIN judgments AS before ON before.id = (SELECT min(j.id) FROM judgments AS j WHERE j.assignment_id = o.id)
WHERE d.repeat > 0
    AND (:scenarios IS NULL OR again.scenario IN (SELECT value FROM json_each(:scenarios)))
    AND (:selections IS NULL OR (again.response_a_id, again.response_b_id) IN (
        -- include ranking/selected_responses
    ))
GROUP BY again.scenario, again.annotator, again.kind, before.winner, again.winner
ORDER BY again.scenario, again.annotator, before.winner, again.winner;
