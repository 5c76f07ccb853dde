-- How long responses are.
-- Grain: one row per response.
-- Parameters: :ids, a JSON array of responses.id.
SELECT
    r.id,
    r.words,
    r.characters
FROM json_each(:ids) AS k
JOIN responses AS r ON r.id = k.value;
