-- Returns the selected pairs that an annotator may be asked about again now, to see whether they agree with themselves.
-- Grain: one row per selected pair; none while no repeat is due. A repeat is due for every 1 / :share pairs judged.
-- Parameters: :set_id the selection; :annotator_id; :share of the pairs that is asked again; :gap, how many verdicts
--   must lie between the two.
WITH mine AS (
    SELECT a.id, a.selection_id, s.pair_id, a.repeat, a.state, a.dealt_at, a.decided_at
    FROM assignments AS a
    JOIN selections AS s ON s.id = a.selection_id
    WHERE s.set_id = :set_id AND a.annotator_id = :annotator_id AND a.state <> 'undone'
),
judged AS (
    SELECT
        selection_id,
        pair_id,
        repeat,
        row_number() OVER (ORDER BY decided_at DESC, dealt_at DESC, id DESC) AS ago
    FROM mine AS m
    WHERE state = 'judged' AND EXISTS (SELECT 1 FROM judgments AS j WHERE j.assignment_id = m.id)
),
repeated AS (
    SELECT DISTINCT selection_id FROM mine WHERE repeat > 0
)
SELECT d.selection_id, d.pair_id
FROM judged AS d
WHERE d.repeat = 0
    AND d.ago > :gap
    AND d.selection_id NOT IN (SELECT selection_id FROM repeated)
    -- The small number: 0.05 × 20 must be 1, whatever binary fractions make of it.
    AND (SELECT CAST(:share * count(*) + 1e-9 AS INTEGER) FROM judged WHERE repeat = 0)
        > (SELECT count(*) FROM repeated)
ORDER BY d.selection_id;
