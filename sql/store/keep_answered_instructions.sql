-- Before a run is deleted: its instructions that other runs have answers to belong to no run, and so stay.
-- Changes: instructions. Parameters: :run_id, the run that is about to go.
UPDATE instructions
SET run_id = NULL
WHERE run_id = :run_id
    AND EXISTS (
        SELECT 1
        FROM responses AS r
        WHERE r.instruction_id = instructions.id
            AND r.run_id IS NOT :run_id  -- IS NOT: rows that belong to no run count as others'
    );
