-- What annotators said when they were asked the same again: how far they agree with themselves.
-- Grain: one row per scenario, annotator, first verdict and verdict on the repeat, both in canonical order; repeats
-- says how many there are. Each repeat is held against the verdict on the item as it was dealt first.
-- Parameters: :scenario (NULL: all).
SELECT
    i.scenario,
    n.name AS annotator,
    n.kind,
    before.winner AS first,
    again.winner AS again,
    count(*) AS repeats
FROM assignments AS d
JOIN judgments AS again ON again.assignment_id = d.id
JOIN assignments AS o ON o.selection_id = d.selection_id AND o.annotator_id = d.annotator_id AND o.repeat = 0
-- Should an item have several verdicts, the first stands.
JOIN judgments AS before ON before.id = (SELECT min(j.id) FROM judgments AS j WHERE j.assignment_id = o.id)
JOIN annotators AS n ON n.id = d.annotator_id
JOIN responses AS r ON r.id = again.response_a_id
JOIN instructions AS i ON i.id = r.instruction_id
WHERE d.repeat > 0 AND (:scenario IS NULL OR i.scenario = :scenario)
GROUP BY i.scenario, n.name, n.kind, before.winner, again.winner
ORDER BY i.scenario, n.name, before.winner, again.winner;
