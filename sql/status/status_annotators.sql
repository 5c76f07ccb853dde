-- Who has judged how much.
-- Grain: one row per annotator who has judged anything.
SELECT
    n.name AS annotator,
    n.kind,
    count(*) AS judgments,
    count(DISTINCT j.response_a_id || ' ' || j.response_b_id) AS response_pairs,
    sum(j.winner = 'tie') AS ties,
    sum(j.winner = 'both_bad') AS both_bad
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
GROUP BY n.id
ORDER BY n.kind DESC, n.name;
