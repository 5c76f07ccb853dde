-- Writes how a request ended.
-- Grain: changes the one row of the request.
-- Parameters: :id, and the columns as they are named: :outcome, :answer, :finish_reason, :http_status, :tokens_in,
-- :tokens_out, :cost, :latency, :model_version, :error.
UPDATE calls
SET
    outcome = :outcome,
    answer = :answer,
    finish_reason = :finish_reason,
    http_status = :http_status,
    tokens_in = :tokens_in,
    tokens_out = :tokens_out,
    cost = :cost,
    latency = :latency,
    model_version = :model_version,
    error = :error,
    finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
WHERE id = :id;
