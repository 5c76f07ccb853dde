-- Instructions with answers that have no embedding of a metric: what `select --diversity` measures their nearness by.
-- Grain: one row per instruction, in the order of their ids; two scenarios may hold the same text.
-- Parameters: :scenarios and :generation as in store/pool.sql; :metric_id (NULL: a metric that has no row yet), :after
--   (instruction id), :page (at most so many).
SELECT
    i.id,
    i.hash,
    CASE i.input WHEN '' THEN i.instruction ELSE i.instruction || char(10) || i.input END AS text
FROM (
    -- include store/pool
) AS i
WHERE i.id > :after
    AND EXISTS (SELECT 1 FROM responses AS r WHERE r.instruction_id = i.id)
    AND NOT EXISTS (SELECT 1 FROM embeddings AS e WHERE e.metric_id = :metric_id AND e.hash = i.hash)
ORDER BY i.id
LIMIT :page;
