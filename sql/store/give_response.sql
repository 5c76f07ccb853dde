-- Gives a response to another model, under the next sample number that this one has for the instruction.
-- Changes: responses. Parameters: :id, the response; :new_id, the model.
UPDATE responses
SET
    model_id = :new_id,
    sample = (
        SELECT ifnull(max(r.sample) + 1, 0)
        FROM responses AS r
        WHERE r.instruction_id = responses.instruction_id AND r.model_id = :new_id
    )
WHERE id = :id;
