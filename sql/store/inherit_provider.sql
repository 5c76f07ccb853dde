-- Lets a model that is known from imported files alone take over how another one is asked.
-- Changes: models. Parameters: :old_id, the model that goes; :new_id, the model that stays.
UPDATE models
SET (provider, model_id, base_url, system_prompt, settings, price_in, price_out) = (
    SELECT o.provider, o.model_id, o.base_url, o.system_prompt, o.settings, o.price_in, o.price_out
    FROM models AS o
    WHERE o.id = :old_id
)
WHERE id = :new_id AND provider IS NULL;
