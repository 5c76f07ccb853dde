-- Closes an open assignment of an annotator.
-- Changes: assignments. Returns which answer was shown first, and the seconds since the annotator was dealt the pair
-- for the first time; nothing where the assignment is not open (any more).
-- Parameters: :assignment_id; :annotator_id; :set_id the selection; :state, the new one; :now, in microseconds.
UPDATE assignments
SET state = :state, decided_at = :now
WHERE id = :assignment_id
    AND annotator_id = :annotator_id
    AND state = 'open'
    AND selection_id IN (SELECT s.id FROM selections AS s WHERE s.set_id = :set_id)
RETURNING
    shown_first,
    (julianday(decided_at) - (
        SELECT min(julianday(b.dealt_at))
        FROM assignments AS b
        WHERE b.selection_id = assignments.selection_id
            AND b.annotator_id = assignments.annotator_id
            AND b.repeat = assignments.repeat
    )) * 86400 AS seconds_open;
