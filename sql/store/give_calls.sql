-- Gives a model's calls to another model. Where both were asked the same, the attempts go on counting.
-- Changes: calls. Parameters: :old_id, the model that goes; :new_id, the model that stays.
UPDATE calls
SET
    model_id = :new_id,
    attempt = attempt + (
        SELECT ifnull(max(c.attempt), 0)
        FROM calls AS c
        WHERE c.request_hash = calls.request_hash AND c.sample = calls.sample AND c.model_id = :new_id
    )
WHERE model_id = :old_id;
