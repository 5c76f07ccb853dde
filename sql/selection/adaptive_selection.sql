-- The adaptive selection that was begun last in a scenario, and how many of its picks a person has judged.
-- Grain: one row, or none.
-- Parameters: :scenario (NULL: the selections of all scenarios together).
SELECT
    t.name,
    t.metric_id,
    t.strategy,
    t.budget,
    t.diversity,
    t.instruction_metric_id,
    t.min_words,
    t.max_length_ratio,
    t.seed,
    (
        SELECT count(*)
        FROM selections AS s
        WHERE s.set_id = t.id
            AND EXISTS (
                SELECT 1
                FROM judgments AS j
                JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
                WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id
            )
    ) AS judged
FROM selection_sets AS t
WHERE t.pair_policy = 'adaptive' AND t.scenario IS :scenario
ORDER BY t.id DESC
LIMIT 1;
