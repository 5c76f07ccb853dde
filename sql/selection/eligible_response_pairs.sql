-- All response pairs that a selection may pick from, for the strategies that look at more than the lowest scores.
--
-- Grain: one row per eligible response pair. Those of one model pair stand together, and of several response pairs of
-- one instruction the one that stands for it (lowest score, then response ids) comes first. `words` are about those of
-- both answers: the longer one's are taken from the ratio of the lengths in characters.
-- Parameters: :metric_id, :min_words, :max_length_ratio, :scenario, :pairs, :model_ids as in mad_picks.sql.
SELECT p.id AS pair_id, s.instruction_id, s.id AS similarity_id, s.score,
    s.shorter_words * (1 + s.length_ratio) AS words
FROM pairs AS p
CROSS JOIN similarities AS s ON s.pair_id = p.id  -- in the order of the index: nothing is sorted
WHERE s.metric_id = :metric_id
    AND (:model_ids IS NULL
        OR (p.model_a_id IN (SELECT value FROM json_each(:model_ids))
            AND p.model_b_id IN (SELECT value FROM json_each(:model_ids))))
    AND s.length_ratio > 0
    AND (:min_words = 0 OR s.shorter_words > :min_words)
    AND (:max_length_ratio = 0 OR s.length_ratio < :max_length_ratio)
    AND (:scenario IS NULL OR s.instruction_id IN (SELECT i.id FROM instructions AS i WHERE i.scenario = :scenario))
    AND (:pairs <> 'judged' OR EXISTS (
        SELECT 1 FROM judgments AS j
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
    AND (:pairs <> 'unjudged' OR NOT EXISTS (
        SELECT 1
        FROM judgments AS j
        JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
ORDER BY p.id, s.score, s.instruction_id, s.response_a_id, s.response_b_id;
