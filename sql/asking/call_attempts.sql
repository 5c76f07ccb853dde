-- What the ledger holds of one request.
-- Grain: one row per attempt, the latest first.
-- Parameters: :request_hash and :sample, what was asked; :model_id, who.
SELECT
    id,
    run_id,
    attempt,
    outcome,
    answer,
    finish_reason,
    http_status,
    tokens_in,
    tokens_out,
    cost,
    latency,
    model_version,
    error
FROM calls
WHERE request_hash = :request_hash AND sample = :sample AND model_id = :model_id
ORDER BY attempt DESC;
