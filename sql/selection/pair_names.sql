-- The two models of each pair by name, which unlike their order as a and b does not depend on what was imported first.
-- Grain: one row per pair of models.
SELECT p.id, min(a.name, b.name) AS first, max(a.name, b.name) AS second
FROM pairs AS p
JOIN models AS a ON a.id = p.model_a_id
JOIN models AS b ON b.id = p.model_b_id;
