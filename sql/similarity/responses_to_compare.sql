-- The texts of some responses.
-- Grain: one row per response.
-- Parameters: :ids (JSON array of response ids).
SELECT r.id, r.hash, r.response
FROM responses AS r
WHERE r.id IN (SELECT value FROM json_each(:ids))
ORDER BY r.id;
