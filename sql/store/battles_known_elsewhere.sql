-- How many of the battles that were just stored another source had brought already: the same two answers to the same
-- instruction (in whatever scenario) with the same winner. Votes are matched one to one, so that two equal votes here
-- and one there count as one, whichever file came first.
-- Grain: one row, the count in the column battles.
-- Parameters: :after, the highest judgments.id before the new ones.
WITH counted AS (
    SELECT
        v.judgment_id > :after AS new,
        v.source,
        -- Several people judge one battle on sheets and pages of this project's own: that is no repetition.
        v.source LIKE 'judgments:%' OR v.source LIKE 'sheet%' OR v.source LIKE 'page%'
            OR v.source LIKE 'label-studio%' OR v.source = 'judge' AS own,
        i.hash AS instruction,
        v.model_a_id AS model_a,
        ra.hash AS response_a,
        v.model_b_id AS model_b,
        rb.hash AS response_b,
        v.winner,
        count(*) AS n
    FROM votes AS v
    JOIN responses AS ra ON ra.id = v.response_a_id
    JOIN responses AS rb ON rb.id = v.response_b_id
    JOIN instructions AS i ON i.id = v.instruction_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
),
matched AS (
    SELECT min(fresh.n, sum(older.n)) AS n
    FROM counted AS fresh
    JOIN counted AS older
        ON older.instruction = fresh.instruction
        AND older.model_a = fresh.model_a
        AND older.response_a = fresh.response_a
        AND older.model_b = fresh.model_b
        AND older.response_b = fresh.response_b
        AND older.winner = fresh.winner
        AND older.source <> fresh.source
        AND NOT (older.own AND fresh.own)
    WHERE fresh.new AND NOT older.new
    GROUP BY fresh.source, fresh.instruction, fresh.model_a, fresh.response_a, fresh.model_b, fresh.response_b,
             fresh.winner
)
SELECT ifnull(sum(n), 0) AS battles
FROM matched;
