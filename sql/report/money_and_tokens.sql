-- What models were asked: requests, tokens, money, and the time that they took to answer.
-- Grain: one row per stage and model. cost (USD) is NULL where a price is unknown; hours is the sum of latencies, which
-- overlap where requests ran side by side.
-- Parameters: none.
SELECT
    s.stage,
    s.model,
    s.calls,
    s.answered,
    s.tokens_in,
    s.tokens_out,
    s.cost,
    (
        SELECT sum(c.latency) / 3600
        FROM calls AS c
        JOIN models AS m ON m.id = c.model_id
        WHERE c.stage = s.stage AND m.name = s.model
    ) AS hours
FROM spend AS s
ORDER BY s.stage, s.model;
