-- How often two annotators said the same about the same two answers; of several verdicts the first of each counts.
-- Grain: one row per two annotators with a response pair in common.
-- Parameters: :scenario (NULL: all).
WITH verdicts AS (
    SELECT
        j.annotator_id, j.response_a_id, j.response_b_id, j.winner,
        row_number() OVER (PARTITION BY j.annotator_id, j.response_a_id, j.response_b_id ORDER BY j.id) AS place
    FROM judgments AS j
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN instructions AS i ON i.id = ra.instruction_id
    WHERE :scenario IS NULL OR i.scenario = :scenario
),
firsts AS (
    SELECT annotator_id, response_a_id, response_b_id, winner FROM verdicts WHERE place = 1
)
SELECT
    na.name AS annotator_a,
    na.kind AS kind_a,
    nb.name AS annotator_b,
    nb.kind AS kind_b,
    count(*) AS items,
    sum(a.winner = b.winner) AS same,
    1.0 * sum(a.winner = b.winner) / count(*) AS agreement
FROM firsts AS a
JOIN firsts AS b
    ON b.response_a_id = a.response_a_id AND b.response_b_id = a.response_b_id AND b.annotator_id > a.annotator_id
JOIN annotators AS na ON na.id = a.annotator_id
JOIN annotators AS nb ON nb.id = b.annotator_id
GROUP BY a.annotator_id, b.annotator_id
ORDER BY na.kind DESC, nb.kind DESC, na.name, nb.name;
