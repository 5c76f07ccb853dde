-- Selected response pairs that a judge model has no vote on, with all that it reads.
-- Grain: one row per selected pair, in the order of their ids.
-- Parameters: :set_id (selection_sets.id), :annotator (a name, which may be new), :after (selections.id),
--   :page (at most so many).
SELECT
    s.id,
    s.response_a_id,
    s.response_b_id,
    CASE i.input WHEN '' THEN i.instruction ELSE i.instruction || char(10) || char(10) || i.input END AS instruction,
    i.reference_answer,
    ra.response AS response_a,
    rb.response AS response_b
FROM selections AS s
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
WHERE s.set_id = :set_id
    AND s.id > :after
    AND NOT EXISTS (
        SELECT 1
        FROM judgments AS j
        JOIN annotators AS n ON n.id = j.annotator_id
        WHERE n.name = :annotator
            AND j.status = 'counted'
            AND j.response_a_id = s.response_a_id
            AND j.response_b_id = s.response_b_id)
ORDER BY s.id
LIMIT :page;
