-- What a selection stores of the response pairs that were picked.
-- Grain: one row per similarity.
-- Parameters: :ids (JSON array of similarities.id).
SELECT id, pair_id, instruction_id, response_a_id, response_b_id, score
FROM similarities
WHERE id IN (SELECT value FROM json_each(:ids));
