-- How alike the answers of each pair of models are, as counts: what a selection could pick from.
-- Grain: one row per pair of models and bin that holds something; bin n has the scores from n × :width to
-- (n + 1) × :width.
-- Parameters: :width, :metric_id, :min_words, :max_length_ratio, :scenario, :pairs as in mad_picks.sql.
SELECT
    s.pair_id,
    CAST(s.score / :width AS INTEGER) - (s.score < 0) AS bin,  -- CAST cuts towards 0
    count(*) AS response_pairs
FROM pairs AS p
CROSS JOIN similarities AS s ON s.pair_id = p.id  -- in the order of the index, which holds all that is read
WHERE s.metric_id = :metric_id
    AND s.length_ratio > 0
    AND (:min_words = 0 OR s.shorter_words > :min_words)
    AND (:max_length_ratio = 0 OR s.length_ratio < :max_length_ratio)
    AND (:scenario IS NULL OR s.instruction_id IN (SELECT i.id FROM instructions AS i WHERE i.scenario = :scenario))
    AND (:pairs <> 'judged' OR EXISTS (
        SELECT 1 FROM judgments AS j
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
GROUP BY s.pair_id, bin
ORDER BY s.pair_id, bin;
