-- The instruction at which a chunk of work ends: the first instructions after :after that have about :answers answers
-- together. The walk over chunks keeps memory bounded, and each chunk is one transaction.
-- Grain: one row; last_id is NULL where no instruction is left.
-- Parameters: :scenarios and :generation as in store/pool.sql; :after (instruction id), :answers (at most so many, but
--   always one whole instruction).
WITH answered AS (
    SELECT r.instruction_id, count(*) AS answers
    FROM responses AS r
    JOIN (
        -- include store/pool
    ) AS i ON i.id = r.instruction_id
    WHERE r.instruction_id > :after
    GROUP BY r.instruction_id
    ORDER BY r.instruction_id
    LIMIT :answers  -- an instruction here has at least one answer: no chunk needs more of them
),
running AS (
    SELECT
        instruction_id,
        row_number() OVER walk AS position,
        sum(answers) OVER walk AS answers
    FROM answered
    WINDOW walk AS (ORDER BY instruction_id)
)
SELECT max(instruction_id) AS last_id
FROM running
WHERE answers <= :answers OR position = 1;
