-- After a run was deleted that had revised verdicts: of each annotator's revised verdicts on two responses of which
-- none counts any more, the latest one does again.
-- Changes: judgments. Parameters: none.
UPDATE judgments
SET status = 'counted'
WHERE status = 'revised'
    AND id = (
        SELECT max(j.id)
        FROM judgments AS j
        WHERE j.annotator_id = judgments.annotator_id
            AND j.response_a_id = judgments.response_a_id
            AND j.response_b_id = judgments.response_b_id
            AND j.status = 'revised')
    AND NOT EXISTS (
        SELECT 1
        FROM judgments AS j
        WHERE j.annotator_id = judgments.annotator_id
            AND j.response_a_id = judgments.response_a_id
            AND j.response_b_id = judgments.response_b_id
            AND j.status = 'counted')
    AND NOT EXISTS (SELECT 1 FROM assignments AS a WHERE a.id = judgments.assignment_id AND a.repeat > 0);
