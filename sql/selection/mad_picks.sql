-- The response pairs that differ most: for each pair of models the next ones to pick, without diversity.
--
-- Grain: one row per model pair and pick; `pick` counts from 1 what is new to the selection :set_id.
-- Source: x_k = argmin_x M(f_i(x), f_j(x)), the greedy of Feng et al. 2025 (arXiv 2404.08008) with lambda = 0. Equal
-- scores go to the lower instruction id, then response ids; one response pair per instruction and model pair.
-- Parameters:
--   :metric_id         M, metrics.id
--   :set_id            selection_sets.id whose picks are passed over; NULL: none
--   :top_k             K, picks per model pair, those that the selection has counted in
--   :min_words         both answers have more words than this; 0: off
--   :max_length_ratio  longer by shorter in characters is less than this; 0: off
--   :scenario          instructions.scenario; NULL: all
--   :pairs             'all', 'judged': those with a judgment only, or 'unjudged': those that no person judged
--   :model_ids         JSON array of models.id that pairs are made of; NULL: all
WITH
-- NOT MATERIALIZED: it is asked for a few rows of one model pair, or of one instruction, at a time.
eligible AS NOT MATERIALIZED (
    SELECT s.id, s.pair_id, s.instruction_id, s.response_a_id, s.response_b_id, s.score
    FROM similarities AS s
    WHERE s.metric_id = :metric_id
        AND s.length_ratio > 0  -- 0: one answer is empty
        AND (:min_words = 0 OR s.shorter_words > :min_words)
        AND (:max_length_ratio = 0 OR s.length_ratio < :max_length_ratio)
        AND (:scenario IS NULL OR EXISTS (
            SELECT 1 FROM instructions AS i WHERE i.id = s.instruction_id AND i.scenario = :scenario))
        AND (:pairs <> 'judged' OR EXISTS (
            SELECT 1 FROM judgments AS j
            WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
        AND (:pairs <> 'unjudged' OR NOT EXISTS (
            SELECT 1
            FROM judgments AS j
            JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
            WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id))
),
wanted AS (
    SELECT
        p.id AS pair_id,
        p.model_a_id,
        p.model_b_id,
        (SELECT count(*) FROM selections AS k WHERE k.set_id = :set_id AND k.pair_id = p.id) AS known
    FROM pairs AS p
    WHERE :model_ids IS NULL
        OR (p.model_a_id IN (SELECT value FROM json_each(:model_ids))
            AND p.model_b_id IN (SELECT value FROM json_each(:model_ids)))
),
-- The inner statement walks the index similarities_by_score and stops at K: the work is pairs × K, however many rows
-- there are. CROSS JOIN keeps the model pairs outside.
picks AS (
    SELECT w.pair_id, w.known, s.instruction_id, s.response_a_id, s.response_b_id, s.score
    FROM wanted AS w
    CROSS JOIN similarities AS s ON s.id IN (
        SELECT e.id
        FROM eligible AS e
        WHERE e.pair_id = w.pair_id
            AND NOT EXISTS (
                SELECT 1 FROM selections AS k
                WHERE k.set_id = :set_id AND k.pair_id = w.pair_id AND k.instruction_id = e.instruction_id)
            -- A model's several answers make several response pairs of one instruction: the first stands for it.
            AND NOT EXISTS (
                SELECT 1
                FROM responses AS a
                CROSS JOIN responses AS b
                CROSS JOIN eligible AS earlier
                WHERE a.instruction_id = e.instruction_id AND a.model_id = w.model_a_id
                    AND b.instruction_id = e.instruction_id AND b.model_id = w.model_b_id
                    AND earlier.response_a_id = a.id AND earlier.response_b_id = b.id
                    AND (earlier.score, earlier.response_a_id, earlier.response_b_id)
                        < (e.score, e.response_a_id, e.response_b_id))
        ORDER BY e.score, e.instruction_id, e.response_a_id, e.response_b_id
        LIMIT :top_k)
),
numbered AS (
    SELECT
        pair_id,
        known,
        row_number() OVER (
            PARTITION BY pair_id ORDER BY score, instruction_id, response_a_id, response_b_id) AS pick,
        instruction_id,
        response_a_id,
        response_b_id,
        score
    FROM picks
)
SELECT pair_id, pick, instruction_id, response_a_id, response_b_id, score
FROM numbered
WHERE known + pick <= :top_k
ORDER BY pair_id, pick;
