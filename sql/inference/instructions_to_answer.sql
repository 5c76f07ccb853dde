-- Instructions that a model has not answered, with the sample numbers that are missing.
-- Grain: one row per instruction, by id; samples is a JSON array.
-- Parameters: :scenarios and :generation as in store/pool.sql; :model_id; :samples, how many answers each is to have;
-- :last, the highest id of the instructions that count; :after and :page, which part of the result.
WITH RECURSIVE numbers (sample) AS (
    SELECT 0
    UNION ALL
    SELECT sample + 1 FROM numbers WHERE sample + 1 < :samples
)
SELECT
    i.id,
    i.scenario,
    i.instruction,
    i.input,
    (
        SELECT json_group_array(n.sample)
        FROM numbers AS n
        WHERE NOT EXISTS (
            SELECT 1
            FROM responses AS r
            WHERE r.instruction_id = i.id AND r.model_id = :model_id AND r.sample = n.sample
        )
    ) AS samples
FROM (
    -- include store/pool
) AS i
WHERE i.id > :after
    AND i.id <= :last
    AND EXISTS (
        SELECT 1
        FROM numbers AS n
        WHERE NOT EXISTS (
            SELECT 1
            FROM responses AS r
            WHERE r.instruction_id = i.id AND r.model_id = :model_id AND r.sample = n.sample
        )
    )
ORDER BY i.id
LIMIT :page;
