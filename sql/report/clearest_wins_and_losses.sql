-- The instructions on which each model won and lost most clearly, with both answers.
-- Grain: one row per model, outcome ('won', 'lost') and rank (1 is the clearest), at most :per_model of each; a
-- response pair with all its votes. What is clearer: more votes one way than the other; of equal ones fewer votes in
-- all, then the lower similarity of the two answers (as the pair was picked), then the earlier judgment.
-- Parameters: :per_model; :scenarios, :selections, :kind, :names, :without as in counted_votes.sql.
WITH counted AS (
    -- include ranking/counted_votes
),
pairs_judged AS (
    SELECT
        response_a_id,
        response_b_id,
        model_a_id AS a,
        model_b_id AS b,
        instruction_id,
        count(*) AS votes,
        sum(winner = 'model_a') AS for_a,
        sum(winner = 'model_b') AS for_b,
        min(judgment_id) AS first_judgment
    FROM counted
    GROUP BY response_a_id, response_b_id
),
seen_by_each AS (
    SELECT a AS model_id, b AS opponent_id, response_a_id AS own_id, response_b_id AS other_id, response_a_id,
           response_b_id, instruction_id, votes, for_b AS against, for_a AS votes_for, first_judgment
    FROM pairs_judged
    UNION ALL
    SELECT b, a, response_b_id, response_a_id, response_a_id, response_b_id, instruction_id, votes, for_a, for_b,
           first_judgment
    FROM pairs_judged
),
scored AS (
    SELECT
        e.model_id, e.opponent_id, e.own_id, e.other_id, e.response_a_id, e.response_b_id, e.instruction_id, e.votes,
        e.against, e.votes_for, e.first_judgment,
        CASE WHEN e.votes_for > e.against THEN 'won' ELSE 'lost' END AS outcome,
        (SELECT min(s.score) FROM selections AS s
         WHERE s.response_a_id = e.response_a_id AND s.response_b_id = e.response_b_id) AS score
    FROM seen_by_each AS e
    WHERE e.votes_for <> e.against
),
ranked AS (
    SELECT
        model_id, opponent_id, own_id, other_id, response_a_id, response_b_id, instruction_id, votes, against,
        votes_for, score, outcome,
        row_number() OVER (
            PARTITION BY model_id, outcome
            ORDER BY abs(against - votes_for) DESC, votes, score NULLS LAST, first_judgment) AS rank
    FROM scored
)
SELECT
    m.name AS model,
    p.outcome,
    p.rank,
    o.name AS opponent,
    i.scenario,
    p.votes,
    p.against,
    p.votes_for,
    p.score,
    p.response_a_id,
    p.response_b_id,
    i.instruction,
    i.input,
    i.reference_answer,
    own.response AS own_response,
    other.response AS other_response,
    own.id = p.response_a_id AS own_is_a
FROM ranked AS p
JOIN models AS m ON m.id = p.model_id
JOIN models AS o ON o.id = p.opponent_id
JOIN instructions AS i ON i.id = p.instruction_id
JOIN responses AS own ON own.id = p.own_id
JOIN responses AS other ON other.id = p.other_id
WHERE p.rank <= :per_model
ORDER BY m.id, p.outcome DESC, p.rank;
