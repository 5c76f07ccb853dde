-- Before a run is deleted: the picks that it made for adaptive selections and that somebody judged in another run
-- belong to no run, and so stay. Their votes stay too, and a selection that grows with the votes has to know what it
-- asked.
-- Changes: selections. Parameters: :run_id, the run that is about to go.
UPDATE selections
SET run_id = NULL
WHERE run_id = :run_id
    AND set_id IN (SELECT t.id FROM selection_sets AS t WHERE t.pair_policy = 'adaptive')
    AND EXISTS (
        SELECT 1
        FROM judgments AS j
        WHERE j.response_a_id = selections.response_a_id
            AND j.response_b_id = selections.response_b_id
            AND j.run_id IS NOT :run_id  -- IS NOT: rows that belong to no run count as others'
    );
