-- How far each selection is: response pairs picked, and those that a person judged.
-- Grain: one row per selection, those begun last at the end.
SELECT
    t.id AS set_id,
    t.name,
    t.metric_id,
    t.scenarios,
    t.generation,
    t.strategy,
    t.pair_policy,
    t.top_k,
    t.budget,
    t.diversity,
    t.instruction_metric_id,
    t.min_words,
    t.max_length_ratio,
    t.candidates,
    t.seed,
    (SELECT count(*) FROM selections AS s WHERE s.set_id = t.id) AS selected,
    (
        SELECT count(*)
        FROM selections AS s
        WHERE s.set_id = t.id
            AND EXISTS (
                SELECT 1
                FROM judgments AS j
                JOIN annotators AS n ON n.id = j.annotator_id AND n.kind <> 'model'
                WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id
            )
    ) AS judged
FROM selection_sets AS t
ORDER BY t.id;
