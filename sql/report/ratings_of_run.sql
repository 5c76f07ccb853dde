-- The leaderboards that one run of `madetl rank` stored.
-- Grain: one row per scenario ('overall' first) and model, strongest first in each component.
-- Parameters: :run_id, :scenarios (JSON array of names: their leaderboards, and the overall one; NULL: all).
SELECT
    r.scenario,
    r.rank,
    m.name AS model,
    r.rating,
    r.lower,
    r.upper,
    r.battles,
    r.component,
    r.remark,
    r.probability_best
FROM ratings AS r
JOIN models AS m ON m.id = r.model_id
WHERE r.run_id = :run_id
    AND (:scenarios IS NULL OR r.scenario IN (SELECT value FROM json_each(:scenarios)) OR r.scenario = 'overall')
ORDER BY r.scenario <> 'overall', r.scenario, r.component, r.rating DESC, m.name;
