-- Requests that failed and were never answered, by how their latest attempt ended: what is left undone, and why.
-- Grain: one row per stage, model, outcome and HTTP status, the most frequent first; error is one of the reasons.
-- Parameters: none.
WITH requests AS (
    SELECT
        model_id,
        request_hash,
        sample,
        max(attempt) AS attempt
    FROM calls
    GROUP BY model_id, request_hash, sample
    -- Answered once is answered, whatever a later --fresh attempt met.
    HAVING sum(outcome IN ('ok', 'truncated')) = 0 OR sum(outcome IN ('ok', 'truncated')) IS NULL
)
SELECT
    c.stage,
    m.name AS model,
    c.outcome,
    c.http_status,
    count(*) AS requests,
    max(c.error) AS error
FROM requests AS r
JOIN calls AS c
    ON
        c.request_hash = r.request_hash
        AND c.sample = r.sample
        AND c.attempt = r.attempt
        AND c.model_id = r.model_id
JOIN models AS m ON m.id = c.model_id
-- Those under way have not failed, and what was repaired was answered in other words.
WHERE c.outcome IS NOT NULL
    AND c.finish_reason IS NOT 'repaired'
GROUP BY c.stage, m.name, c.outcome, c.http_status
ORDER BY requests DESC, c.stage, m.name, c.outcome;
