-- The response pairs that differ most: for each pair of models the next ones to pick, without diversity.
--
-- Grain: one row per model pair and pick; `pick` counts from 1 what is new to the selection :set_id.
-- Source: x_k = argmin_x M(f_i(x), f_j(x)), the greedy of Feng et al. 2025 (arXiv 2404.08008) with lambda = 0. Equal
-- scores go to the lower instruction id, then response ids; one response pair per instruction and model pair.
-- Parameters:
--   :set_id     selection_sets.id whose picks are passed over; NULL: none
--   :top_k      K, picks per model pair, those that the selection has counted in
--   :model_ids  JSON array of models.id that pairs are made of; NULL: all
--   :metric_id (M), :min_words, :max_length_ratio, :scenarios, :generation and :pairs as in eligible.sql
WITH
-- NOT MATERIALIZED: it is asked for a few rows of one model pair, or of one instruction, at a time.
eligible AS NOT MATERIALIZED (
    -- include selection/eligible
),
model_pairs AS (
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
    FROM model_pairs AS w
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
