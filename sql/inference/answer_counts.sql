-- How many answers a model is to have, and how many of them it has.
-- Grain: one row. last: the highest id of the instructions that count, NULL where there are none.
-- Parameters: :scenarios and :generation as in store/pool.sql; :model_id; :samples, how many answers each is to have;
-- :most, how many instructions count, the first ones; -1 for all.
WITH counting AS (
    SELECT id
    FROM (
        -- include store/pool
    )
    ORDER BY id
    LIMIT :most
)
SELECT
    count(*) AS instructions,
    count(*) * :samples AS answers,
    (
        SELECT count(*)
        FROM responses AS r
        JOIN counting AS c ON c.id = r.instruction_id
        WHERE r.model_id = :model_id AND r.sample < :samples
    ) AS known,
    max(id) AS last
FROM counting;
