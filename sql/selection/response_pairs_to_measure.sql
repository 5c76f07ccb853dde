-- How many response pairs of different models a selection could be made from, measured or not.
--
-- Grain: one row. An instruction that model m answered n_m times has ((sum of n_m)² − sum of n_m²) / 2 of them.
-- Parameters: :scenario, :pairs, :model_ids as in mad_picks.sql.
WITH answers AS (
    SELECT r.instruction_id, r.model_id, count(*) AS n
    FROM responses AS r
    WHERE (:model_ids IS NULL OR r.model_id IN (SELECT value FROM json_each(:model_ids)))
        AND (:scenario IS NULL OR r.instruction_id IN (SELECT i.id FROM instructions AS i WHERE i.scenario = :scenario))
    GROUP BY r.instruction_id, r.model_id
),
possible AS (
    SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS response_pairs
    FROM answers
    GROUP BY instruction_id
),
judged AS (
    SELECT j.response_a_id, j.response_b_id, max(n.kind = 'person') AS by_people
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS a ON a.id = j.response_a_id
    JOIN responses AS b ON b.id = j.response_b_id
    JOIN instructions AS i ON i.id = a.instruction_id
    WHERE (:scenario IS NULL OR i.scenario = :scenario)
        AND (:model_ids IS NULL
            OR (a.model_id IN (SELECT value FROM json_each(:model_ids))
                AND b.model_id IN (SELECT value FROM json_each(:model_ids))))
    GROUP BY j.response_a_id, j.response_b_id
)
SELECT CASE :pairs
    WHEN 'judged' THEN (SELECT count(*) FROM judged)
    WHEN 'unjudged' THEN (SELECT ifnull(sum(response_pairs), 0) FROM possible) - (SELECT total(by_people) FROM judged)
    ELSE (SELECT ifnull(sum(response_pairs), 0) FROM possible)
END AS response_pairs;
