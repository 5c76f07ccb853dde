-- What each filter of a selection removes.
--
-- Grain: one row per model pair that has measured response pairs.
-- `empty`, `few_words` and `lengths_differ` are what the filters remove one after another, in this order, so that
-- measured − empty − few_words − lengths_differ = eligible; few_words_alone and lengths_differ_alone are what the
-- filter would remove if it were the only one.
-- Parameters: :model_ids as in mad_picks.sql; the others as in selection/outside_pool.sql and eligible.sql, whose
--   filters are counted here.
WITH candidates AS NOT MATERIALIZED (
    -- include selection/candidates
),
filters AS (
    SELECT
        p.id AS pair_id,
        iif(:min_words = 0, -1, :min_words) AS min_words,
        iif(:max_length_ratio = 0, 9e999, :max_length_ratio) AS max_length_ratio
    FROM pairs AS p
    WHERE :model_ids IS NULL
        OR (p.model_a_id IN (SELECT value FROM json_each(:model_ids))
            AND p.model_b_id IN (SELECT value FROM json_each(:model_ids)))
),
-- FILTER rather than sum(condition): half the time.
counts AS (
    SELECT
        f.pair_id,
        count(*) AS measured,
        count(*) FILTER (WHERE s.length_ratio = 0) AS empty,
        count(*) FILTER (WHERE s.shorter_words <= f.min_words) AS few_words_alone,
        count(*) FILTER (WHERE s.length_ratio >= f.max_length_ratio) AS lengths_differ_alone,
        count(*) FILTER (WHERE s.shorter_words <= f.min_words AND s.length_ratio = 0) AS empty_with_few_words,
        -- An empty answer has the ratio 0, so none is counted here.
        count(*) FILTER (WHERE s.length_ratio >= f.max_length_ratio AND s.shorter_words > f.min_words) AS lengths_differ
    FROM filters AS f
    CROSS JOIN candidates AS s ON s.pair_id = f.pair_id  -- in the order of the index, which holds all that is read
    WHERE s.instruction_id NOT IN (
        -- include selection/outside_pool
    )
    GROUP BY f.pair_id
)
SELECT
    pair_id,
    measured,
    empty,
    few_words_alone - empty_with_few_words AS few_words,
    lengths_differ,
    few_words_alone,
    lengths_differ_alone,
    measured - empty - (few_words_alone - empty_with_few_words) - lengths_differ AS eligible
FROM counts
ORDER BY pair_id;
