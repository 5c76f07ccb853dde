-- How often two models were judged against each other.
-- Grain: one row. Parameters: :old_id and :new_id, the models.
SELECT count(*) AS battles
FROM votes
WHERE model_a_id = min(:old_id, :new_id)  -- canonical order
    AND model_b_id = max(:old_id, :new_id);
