-- The instructions of one scenario that came after a certain one.
-- Grain: one row per instruction, by id.
-- Parameters: :scenario; :after, the last id that is known already; :page, how many at once.
SELECT
    id,
    parent_id,
    CASE WHEN input = '' THEN instruction ELSE instruction || char(10) || char(10) || input END AS text
FROM instructions
WHERE scenario = :scenario AND id > :after
ORDER BY id
LIMIT :page;
