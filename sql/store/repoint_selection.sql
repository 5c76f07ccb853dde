-- Gives a selected response pair to another model pair; where its rank is taken there, it comes after the others.
-- Changes: selections.
-- Parameters: :id, the selection; :set_id and :rank, as they are; :pair_id, :response_a_id, :response_b_id,
-- the new ones.
UPDATE selections
SET
    pair_id = :pair_id,
    response_a_id = :response_a_id,
    response_b_id = :response_b_id,
    rank = CASE
        WHEN EXISTS (
            SELECT 1
            FROM selections AS s
            WHERE s.set_id = :set_id AND s.pair_id = :pair_id AND s.rank = :rank AND s.id <> :id
        ) THEN (SELECT max(s.rank) + 1 FROM selections AS s WHERE s.set_id = :set_id AND s.pair_id = :pair_id)
        ELSE :rank
    END
WHERE id = :id;
