-- What a selection holds for each of some model pairs, none included.
--
-- Grain: one row per model pair.
-- Parameters: :set_id, :run_id (its picks count as new), :pair_ids (JSON array of pairs.id).
SELECT
    a.name AS model_a,
    b.name AS model_b,
    count(s.id) AS picks,
    count(s.id) FILTER (WHERE s.run_id = :run_id) AS new,
    min(s.score) AS lowest,
    max(s.score) AS highest
FROM pairs AS p
JOIN models AS a ON a.id = p.model_a_id
JOIN models AS b ON b.id = p.model_b_id
LEFT JOIN selections AS s ON s.set_id = :set_id AND s.pair_id = p.id
WHERE p.id IN (SELECT value FROM json_each(:pair_ids))
GROUP BY p.id
ORDER BY p.id;
