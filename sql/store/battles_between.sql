-- How often two models were judged against each other.
-- Grain: one row. Parameters: :old_id and :new_id, the models.
SELECT count(*) AS battles
FROM judgments AS j
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
WHERE ra.model_id = min(:old_id, :new_id)  -- canonical order
    AND rb.model_id = max(:old_id, :new_id);
