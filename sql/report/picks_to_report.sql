-- What a selection picked, with the number of votes each pick has.
-- Grain: one row per response pair picked.
-- Parameters: :set_id, :scenarios (JSON array of names; NULL: all).
SELECT
    s.pair_id,
    s.rank,
    s.instruction_id,
    s.response_a_id,
    s.response_b_id,
    s.score,
    (SELECT count(*) FROM judgments AS j
     WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id AND j.status = 'counted') AS votes
FROM selections AS s
JOIN instructions AS i ON i.id = s.instruction_id
WHERE s.set_id = :set_id
    AND (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios)))
ORDER BY s.pair_id, s.rank;
