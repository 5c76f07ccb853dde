-- What each response of a model becomes when another model takes it over: the response of the same text to the same
-- instruction where there is one (the other model's first, else the first of its own), else itself.
-- Grain: one row per response of the old model, in the order in which they take sample numbers.
-- Parameters: :old_id, the model that goes; :new_id, the model that stays.
SELECT
    r.id AS response_id,
    (
        SELECT t.id
        FROM responses AS t
        WHERE t.instruction_id = r.instruction_id
            AND t.model_id IN (:old_id, :new_id)
            AND t.hash = r.hash
        ORDER BY t.model_id <> :new_id, t.sample
        LIMIT 1
    ) AS target_id
FROM responses AS r
WHERE r.model_id = :old_id
ORDER BY r.instruction_id, r.sample;
