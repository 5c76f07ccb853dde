-- How many votes a judge model has given on a selection so far.
-- Grain: one row per comment that says how the verdicts on a pair differed between the two orders; NULL: they agreed.
-- Parameters: :set_id (selection_sets.id), :annotator (a name), :model (the name of the model that it is), :flips (JSON
--   array of those comments).
SELECT
    CASE WHEN j.comment IN (SELECT value FROM json_each(:flips)) THEN j.comment END AS flip,
    count(*) AS verdicts,
    count(*) FILTER (WHERE :model IN (ma.name, mb.name)) AS own_answers
FROM selections AS s
JOIN judgments AS j ON j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id
JOIN annotators AS n ON n.id = j.annotator_id
JOIN pairs AS p ON p.id = s.pair_id
JOIN models AS ma ON ma.id = p.model_a_id
JOIN models AS mb ON mb.id = p.model_b_id
WHERE s.set_id = :set_id AND n.name = :annotator AND j.status = 'counted'
GROUP BY 1;
