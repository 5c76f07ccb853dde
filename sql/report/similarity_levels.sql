-- How alike the answers of each pair of models are: the median of what a selection could pick from, beside its picks.
-- Grain: one row per pair of models with an eligible response pair. picked, lowest and highest are of the selection.
-- Parameters: :set_id, :metric_id, :min_words, :max_length_ratio, :scenario, :pairs as in mad_picks.sql.
WITH eligible AS (
    SELECT
        s.pair_id,
        s.score,
        row_number() OVER (PARTITION BY s.pair_id ORDER BY s.score) AS place,
        count(*) OVER (PARTITION BY s.pair_id) AS size
    FROM similarities AS s
    WHERE s.metric_id = :metric_id
        AND s.length_ratio > 0
        AND (:min_words = 0 OR s.shorter_words > :min_words)
        AND (:max_length_ratio = 0 OR s.length_ratio < :max_length_ratio)
        AND (:scenario IS NULL
            OR s.instruction_id IN (SELECT i.id FROM instructions AS i WHERE i.scenario = :scenario))
        AND (:pairs <> 'judged' OR EXISTS (
            SELECT 1 FROM judgments AS j
            WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
),
levels AS (
    SELECT pair_id, max(size) AS eligible, min(score) AS least, max(score) AS most,
           -- the median: the one in the middle, or the mean of the two
           avg(CASE WHEN place IN ((size + 1) / 2, (size + 2) / 2) THEN score END) AS median
    FROM eligible
    GROUP BY pair_id
),
picked AS (
    SELECT k.pair_id, count(*) AS picked, min(k.score) AS lowest, max(k.score) AS highest
    FROM selections AS k
    JOIN instructions AS i ON i.id = k.instruction_id
    WHERE k.set_id = :set_id
        AND (:scenario IS NULL OR i.scenario = :scenario)
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
