-- The votes that count: the one definition of whose and on what, which the queries of rankings, records, reports and
-- exports include.
-- Grain: one row per vote, as in the view votes; once, though several of the selections picked its response pair.
-- Parameters: :scenarios (JSON array of names; NULL: all), :selections (as in selected_responses.sql), :kind
--             ('person': people, crowds too; 'model': judge models; NULL: only those in :names), :names and :without
--             (JSON arrays of annotators' names; those of :without do not count).
SELECT
    v.judgment_id, v.scenario, v.instruction_id, v.model_a_id, v.model_b_id, v.response_a_id, v.response_b_id,
    v.annotator_id, v.annotator, v.kind, v.winner, v.half_points, v.comment
FROM votes AS v
WHERE (v.by_people = (:kind = 'person') OR v.annotator IN (SELECT value FROM json_each(:names)))
    AND v.annotator NOT IN (SELECT value FROM json_each(:without))
    AND (:scenarios IS NULL OR v.scenario IN (SELECT value FROM json_each(:scenarios)))
    AND (:selections IS NULL OR (v.response_a_id, v.response_b_id) IN (
        -- include ranking/selected_responses
    ));
