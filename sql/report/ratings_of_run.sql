-- The leaderboards that one run of `madetl rank` stored.
-- Grain: one row per scenario ('overall' first) and model, strongest first in each component.
-- Parameters: :run_id, :scenario (NULL: all leaderboards of the run).
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
    AND (:scenario IS NULL OR r.scenario = :scenario)
ORDER BY r.scenario <> 'overall', r.scenario, r.component, r.rating DESC, m.name;
