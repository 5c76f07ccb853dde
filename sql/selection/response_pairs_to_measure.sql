-- How many response pairs of different models a selection could be made from, measured or not.
--
-- Grain: one row. An instruction that model m answered n_m times has ((sum of n_m)² − sum of n_m²) / 2 of them.
-- Parameters: :scenarios, :generation, :pairs, :model_ids as in mad_picks.sql.
WITH answers AS (
    SELECT r.instruction_id, r.model_id, count(*) AS n
    FROM (
        -- include store/pool
    ) AS i
    JOIN responses AS r ON r.instruction_id = i.id
    WHERE :model_ids IS NULL OR r.model_id IN (SELECT value FROM json_each(:model_ids))
    GROUP BY r.instruction_id, r.model_id
),
possible AS (
    SELECT (sum(n) * sum(n) - sum(n * n)) / 2 AS response_pairs
    FROM answers
    GROUP BY instruction_id
),
judged AS (
    SELECT max(by_people) AS by_people
    FROM votes
    WHERE instruction_id IN (SELECT instruction_id FROM answers)
        AND (:model_ids IS NULL
            OR (model_a_id IN (SELECT value FROM json_each(:model_ids))
                AND model_b_id IN (SELECT value FROM json_each(:model_ids))))
    GROUP BY response_a_id, response_b_id
)
SELECT CASE :pairs
    WHEN 'judged' THEN (SELECT count(*) FROM judged)
    WHEN 'unjudged' THEN (SELECT ifnull(sum(response_pairs), 0) FROM possible) - (SELECT total(by_people) FROM judged)
    ELSE (SELECT ifnull(sum(response_pairs), 0) FROM possible)
END AS response_pairs;
