-- Keeps that an annotator saw an item elsewhere and gave no verdict, as a trace beside what is dealt to them.
-- Changes: assignments, where that is not kept yet and the annotator has not judged the item.
-- Parameters: :item the number that it was dealt under; :annotator_id; :at when (NULL: unknown); :run_id.
INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, state, run_id, decided_at)
SELECT d.selection_id, :annotator_id, d.repeat, d.shown_first, 'skipped', :run_id, :at
FROM assignments AS d
WHERE d.id = :item
    AND NOT EXISTS (
        SELECT 1
        FROM assignments AS o
        WHERE o.selection_id = d.selection_id
            AND o.annotator_id = :annotator_id
            AND o.repeat = d.repeat
            AND o.state IN ('skipped', 'judged')
    );
