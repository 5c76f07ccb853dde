-- Stores a judge model's verdict where it has no vote on the two answers yet, from another run or a file.
-- Changes: judgments.
-- Parameters: :annotator_id; :response_a_id, :response_b_id; :winner in canonical order; :comment; :source, :source_id;
--   :run_id.
INSERT INTO judgments (
    annotator_id, response_a_id, response_b_id, winner, comment, source, source_id, created_at, run_id)
SELECT
    :annotator_id, :response_a_id, :response_b_id, :winner, :comment, :source, :source_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), :run_id
WHERE NOT EXISTS (
    SELECT 1
    FROM judgments AS j
    WHERE j.annotator_id = :annotator_id
        AND j.response_a_id = :response_a_id
        AND j.response_b_id = :response_b_id
        AND (j.status = 'counted' OR j.source_id = :source_id));
