-- Instructions of one generation that a model has not rewritten as often as it should.
-- Grain: one row per instruction, by id; samples is a JSON array of the numbers of the missing rewritings.
-- Parameters: :model_id; :scenario; :generation, of the parents; :per_seed, how often each is to be rewritten; :last,
-- the highest id of the parents that count; :after and :page, which part of the result.
WITH RECURSIVE numbers (sample) AS (
    SELECT 0
    UNION ALL
    SELECT sample + 1 FROM numbers WHERE sample + 1 < :per_seed
),
parents AS (
    SELECT
        p.id,
        p.instruction,
        p.input,
        (
            SELECT json_group_array(n.sample)
            FROM numbers AS n
            WHERE NOT EXISTS (
                SELECT 1
                FROM instructions AS child
                JOIN calls AS c ON c.id = child.call_id
                WHERE child.parent_id = p.id AND c.model_id = :model_id AND c.sample = n.sample
            )
        ) AS samples
    FROM instructions AS p
    WHERE p.id > :after
        AND p.id <= :last
        AND p.scenario = :scenario
        AND p.generation = :generation
)
SELECT id, instruction, input, samples
FROM parents
WHERE samples <> '[]'
ORDER BY id
LIMIT :page;
