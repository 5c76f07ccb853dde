-- Deals a selected pair to an annotator. An assignment that a sheet has dealt to them, or whose verdict was deleted,
-- becomes the page's, with its id and its order.
-- Changes: assignments. Returns the id of the open assignment.
-- Parameters: :new_id, an id that no assignment has; :selection_id; :annotator_id; :repeat; :shown_first; :run_id;
--   :now, in microseconds.
INSERT INTO assignments (id, selection_id, annotator_id, repeat, shown_first, run_id, dealt_at)
VALUES (:new_id, :selection_id, :annotator_id, :repeat, :shown_first, :run_id, :now)
ON CONFLICT (selection_id, ifnull(annotator_id, 0), repeat) WHERE state IN ('open', 'judged') DO UPDATE
SET
    state = 'open',
    run_id = excluded.run_id,
    dealt_at = excluded.dealt_at,
    decided_at = NULL
RETURNING id AS assignment_id;
