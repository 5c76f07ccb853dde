-- Where an adaptive selection could grow: what it holds of each model pair, and whether a candidate is left.
--
-- Grain: one row per model pair that is measured, or that the selection has picks of.
-- `pending` are its picks that no person has judged. `open` is 1 where a candidate passes the filters that nobody
-- has judged and whose instruction was not picked; an index walk that stops at the first one.
-- Parameters: :set_id; :model_ids as in mad_picks.sql; the others as in eligible.sql.
WITH eligible AS NOT MATERIALIZED (
    -- include selection/eligible
),
held AS (
    SELECT
        s.pair_id,
        count(*) AS picks,
        count(*) FILTER (WHERE NOT EXISTS (
            SELECT 1
            FROM judgments AS j
            JOIN annotators AS n ON n.id = j.annotator_id AND n.kind <> 'model'
            WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id)) AS pending
    FROM selections AS s
    WHERE s.set_id = :set_id
    GROUP BY s.pair_id
)
SELECT
    p.id AS pair_id,
    p.model_a_id,
    p.model_b_id,
    ifnull(h.picks, 0) AS picks,
    ifnull(h.pending, 0) AS pending,
    (
        :model_ids IS NULL
        OR (p.model_a_id IN (SELECT value FROM json_each(:model_ids))
            AND p.model_b_id IN (SELECT value FROM json_each(:model_ids)))
    ) AND EXISTS (
        SELECT 1
        FROM eligible AS e
        WHERE e.pair_id = p.id
            AND NOT EXISTS (
                SELECT 1
                FROM selections AS k
                WHERE k.set_id = :set_id AND k.pair_id = p.id AND k.instruction_id = e.instruction_id)
    ) AS open
FROM pairs AS p
LEFT JOIN held AS h ON h.pair_id = p.id
WHERE h.picks > 0
    OR EXISTS (SELECT 1 FROM similarities AS s WHERE s.pair_id = p.id AND s.metric_id = :metric_id)
ORDER BY p.id;
