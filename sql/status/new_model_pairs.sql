-- How many model pairs a selection has nothing of yet, though something of theirs passes its filters. Where the votes
-- decide, a pair that people have judged is not new, whoever picked what was judged.
-- Grain: one row.
-- Parameters: :set_id, :pair_policy (selection_sets.pair_policy); the others as in eligible.sql.
WITH eligible AS NOT MATERIALIZED (
    -- include selection/eligible
)
SELECT count(*) AS new_model_pairs
FROM pairs AS p
WHERE NOT EXISTS (SELECT 1 FROM selections AS s WHERE s.set_id = :set_id AND s.pair_id = p.id)
    AND (:pair_policy = 'uniform' OR NOT EXISTS (
        SELECT 1
        FROM votes AS v
        WHERE v.model_a_id = p.model_a_id
            AND v.model_b_id = p.model_b_id
            AND v.by_people
            AND (:scenarios IS NULL OR v.scenario IN (SELECT value FROM json_each(:scenarios)))))
    AND EXISTS (SELECT 1 FROM eligible AS e WHERE e.pair_id = p.id);
