-- Before a judgment moves to other responses: where it counts, and its annotator (no crowd) has a vote on those
-- already, the later of the two becomes a repeat.
-- Changes: judgments.
-- Parameters: :id, the judgment; :annotator_id, its annotator; :response_a_id, :response_b_id, where it moves.
UPDATE judgments
SET status = 'repeat'
WHERE id = (
    SELECT max(j.id)
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id AND n.kind <> 'crowd'
    WHERE j.annotator_id = :annotator_id
        AND j.status = 'counted'
        AND (j.id = :id OR (j.response_a_id = :response_a_id AND j.response_b_id = :response_b_id))
    HAVING count(*) > 1);
