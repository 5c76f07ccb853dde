-- Stores that an annotator saw an assignment elsewhere and gave no verdict, as a skipped assignment of their own.
-- Changes: assignments, where no such row is stored yet and the annotator has not judged the pair.
-- Parameters: :assignment_id, as the file names it; :annotator_id; :at when (NULL: unknown); :run_id.
INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, state, run_id, decided_at)
SELECT d.selection_id, :annotator_id, d.repeat, d.shown_first, 'skipped', :run_id, :at
FROM assignments AS d
WHERE d.id = :assignment_id
    AND NOT EXISTS (
        SELECT 1
        FROM assignments AS o
        WHERE o.selection_id = d.selection_id
            AND o.annotator_id = :annotator_id
            AND o.repeat = d.repeat
            AND o.state IN ('skipped', 'judged')
    );
