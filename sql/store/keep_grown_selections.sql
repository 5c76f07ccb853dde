-- Before a run is deleted: the adaptive selections that it began and that hold picks of others belong to no run, and
-- so stay. Comes after keep_judged_picks.sql.
-- Changes: selection_sets. Parameters: :run_id, the run that is about to go.
UPDATE selection_sets
SET run_id = NULL
WHERE run_id = :run_id
    AND pair_policy = 'adaptive'
    AND EXISTS (
        SELECT 1
        FROM selections AS s
        WHERE s.set_id = selection_sets.id
            AND s.run_id IS NOT :run_id  -- IS NOT: rows that belong to no run count as others'
    );
