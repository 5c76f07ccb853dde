-- What two models won against each other, ties apart.
-- Grain: one row per pair of models that met, in canonical order. An item is an instruction with all its votes.
-- win_rate is model_a's, a tie and both_bad counting half.
-- Parameters: :scenario (NULL: all), :kind ('person' or 'model': everybody of that kind; NULL: only those in :names),
--             :names (JSON array of annotators' names).
WITH votes AS (
    SELECT ra.model_id AS a, rb.model_id AS b, ra.instruction_id, j.winner
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN responses AS rb ON rb.id = j.response_b_id
    JOIN instructions AS i ON i.id = ra.instruction_id
    WHERE (n.kind = :kind OR n.name IN (SELECT value FROM json_each(:names)))
        AND (:scenario IS NULL OR i.scenario = :scenario)
),
counts AS (
    SELECT
        a,
        b,
        count(*) AS battles,
        count(DISTINCT instruction_id) AS items,
        sum(winner = 'model_a') AS wins_a,
        sum(winner = 'model_b') AS wins_b,
        sum(winner = 'tie') AS ties,
        sum(winner = 'both_bad') AS both_bad
    FROM votes
    GROUP BY a, b
)
SELECT
    ma.name AS model_a,
    mb.name AS model_b,
    c.battles,
    c.items,
    c.wins_a,
    c.wins_b,
    c.ties,
    c.both_bad,
    (c.wins_a + 0.5 * (c.ties + c.both_bad)) / c.battles AS win_rate
FROM counts AS c
JOIN models AS ma ON ma.id = c.a
JOIN models AS mb ON mb.id = c.b
ORDER BY c.a, c.b;
