-- The instructions that a selection could pick from, and which of them it picked for any pair of models.
-- Grain: one row per instruction of which the selection's metric has measured anything.
-- Parameters: :set_id, :metric_id; :scenarios and :generation as in store/pool.sql.
SELECT
    i.id AS instruction_id,
    i.scenario,
    i.instruction,
    i.input,
    EXISTS (SELECT 1 FROM selections AS s WHERE s.instruction_id = i.id AND s.set_id = :set_id) AS picked
FROM (
    -- include store/pool
) AS i
WHERE EXISTS (SELECT 1 FROM similarities AS m WHERE m.instruction_id = i.id AND m.metric_id = :metric_id)
ORDER BY i.id;
