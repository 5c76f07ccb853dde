-- Whether the pool has any instruction.
-- Grain: one row.
-- Parameters: as in pool.sql.
SELECT EXISTS (
    SELECT 1
    FROM (
        -- include store/pool
    )
) AS any_instruction;
