-- After picks were deleted: the selection's K is again what is left of it, so that its stored parameters
-- tell the truth.
-- Changes: selection_sets. Parameters: :set_id.
UPDATE selection_sets
SET top_k = (SELECT max(s.rank) FROM selections AS s WHERE s.set_id = :set_id)
WHERE id = :set_id
    AND EXISTS (SELECT 1 FROM selections AS s WHERE s.set_id = :set_id);  -- an empty one keeps what was asked for
