-- Deals a pair whose assignment was skipped or undone once more, in a new row; the old row stays as the trace. Where a
-- sheet has dealt the pair again meanwhile, that row becomes the page's.
-- Changes: assignments. Returns the id of the open assignment.
-- Parameters: :assignment_id, the skipped or undone one; :new_id, an id that no assignment has; :run_id; :now, in
--   microseconds.
INSERT INTO assignments (id, selection_id, annotator_id, repeat, shown_first, run_id, dealt_at)
SELECT :new_id, a.selection_id, a.annotator_id, a.repeat, a.shown_first, :run_id, :now
FROM assignments AS a
WHERE a.id = :assignment_id
ON CONFLICT (selection_id, ifnull(annotator_id, 0), repeat) WHERE state IN ('open', 'judged') DO UPDATE
SET
    state = 'open',
    run_id = excluded.run_id,
    dealt_at = excluded.dealt_at,
    decided_at = NULL
RETURNING id AS assignment_id;
