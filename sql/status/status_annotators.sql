-- Who has judged how much: the votes that count, and beside them what was given again (repeats) or revised since.
-- Grain: one row per annotator who has judged anything.
SELECT
    n.name AS annotator,
    n.kind,
    count(*) FILTER (WHERE j.status = 'counted') AS votes,
    count(DISTINCT j.response_a_id || ' ' || j.response_b_id) AS response_pairs,
    count(*) FILTER (WHERE j.status = 'counted' AND j.winner = 'tie') AS ties,
    count(*) FILTER (WHERE j.status = 'counted' AND j.winner = 'both_bad') AS both_bad,
    count(*) FILTER (WHERE j.status = 'repeat') AS repeats,
    count(*) FILTER (WHERE j.status = 'revised') AS revised
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
GROUP BY n.id
ORDER BY n.kind DESC, n.name;
