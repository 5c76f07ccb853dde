-- How many parents one generation has, and how many of their rewritings are stored.
-- Grain: one row. last: the highest id of the parents that count, NULL where there are none.
-- Parameters: :model_id; :scenario; :generation, of the parents; :per_seed, how often each is to be rewritten; :most,
-- how many parents count, the first ones; -1 for all.
WITH parents AS (
    SELECT id
    FROM instructions
    WHERE scenario = :scenario AND generation = :generation
    ORDER BY id
    LIMIT :most
)
SELECT
    count(*) AS parents,
    count(*) * :per_seed AS rewritings,
    (
        SELECT count(DISTINCT child.parent_id || ' ' || c.sample)
        FROM parents AS p
        JOIN instructions AS child ON child.parent_id = p.id
        JOIN calls AS c ON c.id = child.call_id
        WHERE c.model_id = :model_id AND c.sample < :per_seed
    ) AS known,
    max(id) AS last
FROM parents;
