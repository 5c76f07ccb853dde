-- A model as it is to be asked, and whether anything hangs on how it was asked so far.
-- Grain: one row, or none. answers: responses that were asked for; imported ones do not count.
-- Parameters: :name, the model.
SELECT
    m.id,
    m.name,
    m.provider,
    m.model_id,
    m.base_url,
    m.system_prompt,
    m.settings,
    m.price_in,
    m.price_out,
    EXISTS (
        SELECT 1 FROM responses AS r WHERE r.model_id = m.id AND r.call_id IS NOT NULL
    ) AS answers,
    EXISTS (
        SELECT 1 FROM calls AS c WHERE c.model_id = m.id AND c.outcome IN ('ok', 'truncated')
    ) AS asked
FROM models AS m
WHERE m.name = :name;
