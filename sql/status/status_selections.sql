-- How far each selection is: response pairs picked, those that a person judged, model pairs that it has nothing of yet
-- (an adaptive one: and that nobody has judged, since it goes by the votes that there are, whoever picked what).
-- Grain: one row per selection.
SELECT
    t.name AS selection,
    t.metric_id,
    t.scenario,
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
                JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
                WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id
            )
    ) AS judged,
    (
        SELECT count(*)
        FROM pairs AS p
        WHERE NOT EXISTS (SELECT 1 FROM selections AS s WHERE s.set_id = t.id AND s.pair_id = p.id)
            AND (t.pair_policy = 'uniform' OR NOT EXISTS (
                SELECT 1
                FROM judgments AS j
                JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
                JOIN responses AS a ON a.id = j.response_a_id AND a.model_id = p.model_a_id
                JOIN responses AS b ON b.id = j.response_b_id AND b.model_id = p.model_b_id
                JOIN instructions AS i ON i.id = a.instruction_id
                WHERE t.scenario IS NULL OR i.scenario = t.scenario))
            AND EXISTS (  -- something that the selection's own filters let through
                SELECT 1
                FROM similarities AS m
                JOIN instructions AS i ON i.id = m.instruction_id
                WHERE m.pair_id = p.id
                    AND m.metric_id = t.metric_id
                    AND m.length_ratio > 0
                    AND (t.scenario IS NULL OR i.scenario = t.scenario)
                    AND (t.min_words = 0 OR m.shorter_words > t.min_words)
                    AND (t.max_length_ratio = 0 OR m.length_ratio < t.max_length_ratio)
                    AND (t.candidates <> 'judged' OR EXISTS (
                        SELECT 1
                        FROM judgments AS j
                        WHERE j.response_a_id = m.response_a_id AND j.response_b_id = m.response_b_id))
                    AND (t.candidates <> 'unjudged' OR NOT EXISTS (
                        SELECT 1
                        FROM judgments AS j
                        JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
                        WHERE j.response_a_id = m.response_a_id AND j.response_b_id = m.response_b_id))
            )
    ) AS new_model_pairs
FROM selection_sets AS t
ORDER BY t.id;
