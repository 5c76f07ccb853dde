-- Returns whether the people at the page divide the selected pairs among them, so that nobody knows how many they will
-- get: some pair needs, or a pair still to be picked will need, fewer verdicts than there are people.
-- Grain: one row.
-- Parameters: :set_id the selection; :overlap, how many people judge a selected pair; :team, a JSON array of annotator
--   ids; :grows, whether the selection is an adaptive one that grows up to its budget.
WITH needed AS (
    SELECT
        s.id,
        :overlap - (
            SELECT count(*)
            FROM taken_slots AS t
            WHERE t.selection_id = s.id
                AND t.open_since IS NULL
                AND t.annotator_id NOT IN (SELECT value FROM json_each(:team))
        ) AS verdicts
    FROM selections AS s
    WHERE s.set_id = :set_id
)
SELECT
    EXISTS (SELECT 1 FROM needed WHERE verdicts > 0 AND verdicts < json_array_length(:team))
    OR (
        :grows
        AND :overlap < json_array_length(:team)
        AND (SELECT count(*) FROM needed) < (SELECT t.budget FROM selection_sets AS t WHERE t.id = :set_id)
    ) AS shared;
