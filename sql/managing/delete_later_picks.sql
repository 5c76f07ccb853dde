-- Before a run of `select` is deleted: the later picks of the selections that it extended go too, since each pick was
-- made in view of those before it.
-- Changes: selections. Parameters: :run_id, the run that is about to go.
DELETE FROM selections
WHERE run_id > :run_id
    AND set_id IN (SELECT s.set_id FROM selections AS s WHERE s.run_id = :run_id);
