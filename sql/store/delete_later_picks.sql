-- Before a run of `select` is deleted: the later picks of the selections that it extended go too, since each pick was
-- made in view of those before it. Adaptive selections keep theirs: what these picked depends on votes, which come and
-- go, and each pick holds the probability with which it was drawn.
-- Changes: selections. Parameters: :run_id, the run that is about to go.
DELETE FROM selections
WHERE run_id > :run_id
    AND set_id IN (SELECT s.set_id FROM selections AS s WHERE s.run_id = :run_id)
    AND set_id NOT IN (SELECT t.id FROM selection_sets AS t WHERE t.pair_policy = 'adaptive');
