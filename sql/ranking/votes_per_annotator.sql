-- Who has voted how often: what a choice of annotators can be made from.
-- Grain: one row per annotator, those without a vote included.
-- Parameters: none.
SELECT n.name, n.kind, count(j.id) AS votes
FROM annotators AS n
LEFT JOIN judgments AS j ON j.annotator_id = n.id AND j.status = 'counted'
GROUP BY n.id
ORDER BY votes DESC, n.name;
