-- Deals an item that was skipped or undone once more: a new row, the old one stays as the trace. Where a sheet has
-- dealt it again meanwhile, that row becomes the page's.
-- Changes: assignments. Returns the item's number.
-- Parameters: :item, the old number; :number, one that nobody has; :run_id; :now, in microseconds.
INSERT INTO assignments (id, selection_id, annotator_id, repeat, shown_first, run_id, dealt_at)
SELECT :number, a.selection_id, a.annotator_id, a.repeat, a.shown_first, :run_id, :now
FROM assignments AS a
WHERE a.id = :item
ON CONFLICT (selection_id, ifnull(annotator_id, 0), repeat) WHERE state IN ('open', 'judged') DO UPDATE
SET
    state = 'open',
    run_id = excluded.run_id,
    dealt_at = excluded.dealt_at,
    decided_at = NULL
RETURNING id AS item;
