-- How alike the answers of each pair of models are: the median of what a selection could pick from, beside its picks.
-- Grain: one row per pair of models with an eligible response pair. picked, lowest and highest are of the selection.
-- Parameters: :set_id; :scenarios (of the picks, too) and :generation as in selection/outside_pool.sql; the others
--   as in eligible.sql.
WITH eligible AS NOT MATERIALIZED (
    -- include selection/eligible
),
in_order AS (
    SELECT
        pair_id,
        score,
        row_number() OVER (PARTITION BY pair_id ORDER BY score) AS number,
        count(*) OVER (PARTITION BY pair_id) AS size
    FROM eligible
    WHERE instruction_id NOT IN (
        -- include selection/outside_pool
    )
),
levels AS (
    SELECT pair_id, max(size) AS eligible, min(score) AS least, max(score) AS most,
           -- the median: the one in the middle, or the mean of the two
           avg(CASE WHEN number IN ((size + 1) / 2, (size + 2) / 2) THEN score END) AS median
    FROM in_order
    GROUP BY pair_id
),
picked AS (
    SELECT k.pair_id, count(*) AS picked, min(k.score) AS lowest, max(k.score) AS highest
    FROM selections AS k
    JOIN instructions AS i ON i.id = k.instruction_id
    WHERE k.set_id = :set_id
        AND (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios)))
    GROUP BY k.pair_id
)
SELECT
    p.id AS pair_id,
    a.name AS model_a,
    b.name AS model_b,
    l.eligible,
    l.least,
    l.median,
    l.most,
    ifnull(k.picked, 0) AS picked,
    k.lowest,
    k.highest
FROM levels AS l
JOIN pairs AS p ON p.id = l.pair_id
JOIN models AS a ON a.id = p.model_a_id
JOIN models AS b ON b.id = p.model_b_id
LEFT JOIN picked AS k ON k.pair_id = p.id
ORDER BY l.median, p.id;
