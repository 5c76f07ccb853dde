-- One verdict per item, as most annotators gave it, in the order in which the items were first judged: the battles of
-- rank --votes majority.
-- Grain: one row per response pair. Of each annotator the first verdict counts; where no verdict has most, it is a tie.
-- half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names and :without (JSON arrays of annotators' names; those of :without do not count).
WITH counts AS (
    SELECT
        v.response_a_id,
        v.response_b_id,
        min(v.judgment_id) AS first_id,
        sum(v.winner = 'model_a') AS a,
        sum(v.winner = 'model_b') AS b,
        sum(v.winner = 'tie') AS t,
        sum(v.winner = 'both_bad') AS x
    FROM first_verdicts AS v
    JOIN annotators AS n ON n.id = v.annotator_id
    WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
        AND n.name NOT IN (SELECT value FROM json_each(:without))
        AND (:scenario IS NULL OR v.scenario = :scenario)
    GROUP BY v.response_a_id, v.response_b_id
)
SELECT
    ra.instruction_id,
    ra.model_id AS model_a_id,
    rb.model_id AS model_b_id,
    CASE WHEN c.a > max(c.b, c.t, c.x) THEN 2 WHEN c.b > max(c.a, c.t, c.x) THEN 0 ELSE 1 END AS half_points,
    c.a <= max(c.b, c.t, c.x) AND c.b <= max(c.a, c.t, c.x) AND c.x <= max(c.a, c.b, c.t) AS tie,
    c.x > max(c.a, c.b, c.t) AS both_bad
FROM counts AS c
JOIN responses AS ra ON ra.id = c.response_a_id
JOIN responses AS rb ON rb.id = c.response_b_id
ORDER BY c.first_id;
