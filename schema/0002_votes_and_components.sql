-- What a vote is stands in one view, votes, on which the other views rest. Models that no chain of battles connects are
-- told apart by their connected component (before: island). The view agreement counts response pairs (before: items: an
-- item is an instruction with a pair of models, whatever number of answers each gave).

DROP VIEW leaderboard;
DROP VIEW agreement;
DROP VIEW first_verdicts;
DROP VIEW win_rates;
DROP VIEW battles;

ALTER TABLE ratings RENAME COLUMN island TO component;

-- One row per judgment, with who gave it and what it is about, in canonical order: the vote that rankings, records and
-- reports count. An item is the instruction with its two models: all votes of one (instruction_id, model_a_id,
-- model_b_id). half_points are model_a's: 2 for a win, 1 for a tie or both_bad, 0 for a loss.
CREATE VIEW votes AS
SELECT
    j.id AS judgment_id,
    i.scenario,
    i.id AS instruction_id,
    ra.model_id AS model_a_id,
    rb.model_id AS model_b_id,
    j.response_a_id,
    j.response_b_id,
    n.id AS annotator_id,
    n.name AS annotator,
    n.kind,
    j.winner,
    CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END AS half_points,
    j.shown_first,
    j.seconds,
    j.comment,
    j.assignment_id,
    j.source,
    j.created_at,
    j.run_id
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id;

-- One row per response pair that an annotator judged: their first verdict on it, which counts where everybody is to be
-- heard once. What the annotator said when asked again (a repeat), or gave as a second verdict, comes after.
CREATE VIEW first_verdicts AS
SELECT
    v.scenario,
    v.instruction_id,
    v.model_a_id,
    v.model_b_id,
    v.response_a_id,
    v.response_b_id,
    v.annotator_id,
    v.annotator,
    v.kind,
    v.winner,
    v.judgment_id
FROM votes AS v
JOIN (
    SELECT
        j.id,
        row_number() OVER (
            PARTITION BY j.annotator_id, j.response_a_id, j.response_b_id ORDER BY ifnull(d.repeat, 0), j.id
        ) AS number
    FROM judgments AS j
    LEFT JOIN assignments AS d ON d.id = j.assignment_id
) AS n ON n.id = v.judgment_id
WHERE n.number = 1;

-- One row per judgment, in the columns of Chatbot Arena's data sets: model_a is the model that was shown first
-- (where that is unknown, the canonical one).
CREATE VIEW battles AS
SELECT
    v.judgment_id,
    v.scenario,
    v.instruction_id,
    i.instruction,
    CASE WHEN v.shown_first = 'model_b' THEN mb.name ELSE ma.name END AS model_a,
    CASE WHEN v.shown_first = 'model_b' THEN ma.name ELSE mb.name END AS model_b,
    CASE
        WHEN v.shown_first = 'model_b' AND v.winner = 'model_a' THEN 'model_b'
        WHEN v.shown_first = 'model_b' AND v.winner = 'model_b' THEN 'model_a'
        ELSE v.winner
    END AS winner,
    CASE WHEN v.shown_first = 'model_b' THEN rb.response ELSE ra.response END AS response_a,
    CASE WHEN v.shown_first = 'model_b' THEN ra.response ELSE rb.response END AS response_b,
    CASE v.winner WHEN 'model_a' THEN ma.name WHEN 'model_b' THEN mb.name END AS winner_model,
    v.annotator,
    v.kind AS annotator_kind,
    v.shown_first IS NOT NULL AS order_known,
    v.seconds,
    v.comment,
    v.source,
    v.created_at AS tstamp
FROM votes AS v
JOIN responses AS ra ON ra.id = v.response_a_id
JOIN responses AS rb ON rb.id = v.response_b_id
JOIN instructions AS i ON i.id = v.instruction_id
JOIN models AS ma ON ma.id = v.model_a_id
JOIN models AS mb ON mb.id = v.model_b_id;

-- One row per scenario ('overall' for all), model and opponent, from people's votes. A tie and both_bad count half.
CREATE VIEW win_rates AS
WITH sides AS (
    SELECT scenario, model_a_id AS model_id, model_b_id AS opponent_id, winner = 'model_a' AS won,
           winner = 'model_b' AS lost, winner
    FROM votes
    WHERE kind = 'person'
    UNION ALL
    SELECT scenario, model_b_id, model_a_id, winner = 'model_b', winner = 'model_a', winner
    FROM votes
    WHERE kind = 'person'
),
counts AS (
    SELECT scenario, model_id, opponent_id, sum(won) AS wins, sum(lost) AS losses, sum(winner = 'tie') AS ties,
           sum(winner = 'both_bad') AS both_bad, count(*) AS battles
    FROM sides
    GROUP BY scenario, model_id, opponent_id
    UNION ALL
    SELECT 'overall', model_id, opponent_id, sum(won), sum(lost), sum(winner = 'tie'), sum(winner = 'both_bad'), count(*)
    FROM sides
    GROUP BY model_id, opponent_id
)
SELECT
    c.scenario,
    m.name AS model,
    o.name AS opponent,
    c.wins,
    c.losses,
    c.ties,
    c.both_bad,
    c.battles,
    (c.wins + 0.5 * (c.ties + c.both_bad)) / c.battles AS win_rate
FROM counts AS c
JOIN models AS m ON m.id = c.model_id
JOIN models AS o ON o.id = c.opponent_id;

-- One row per scenario and model: the latest ranking of people's votes by the default method (Elo). lower and upper are
-- a 95 % interval where resample is 'bootstrap'; where it is 'permute', what the order of battles alone changes.
CREATE VIEW leaderboard AS
WITH latest AS (
    SELECT scenario, max(run_id) AS run_id
    FROM ratings
    WHERE method = 'elo' AND annotators = 'people'
    GROUP BY scenario
)
SELECT
    r.scenario,
    r.rank,
    m.name AS model,
    r.rating,
    r.lower,
    r.upper,
    r.battles,
    r.component,
    r.remark,
    json_extract(u.parameters, '$.resample') AS resample,
    r.run_id
FROM latest AS l
JOIN ratings AS r ON r.run_id = l.run_id AND r.scenario = l.scenario
JOIN runs AS u ON u.id = l.run_id
JOIN models AS m ON m.id = r.model_id
ORDER BY r.scenario <> 'overall', r.scenario, r.component, r.rank, r.rating DESC;

-- One row per scenario ('overall' for all) and two annotators who both judged a response pair of it, people and judge
-- models alike. agreement is the share of their common response pairs on which they said the same; kappa (Cohen's) is what is
-- left of it beyond chance, NULL where both always gave one and the same verdict. Canonical order is the order in which
-- models were imported: where the first ones win, chance seems to agree. kappa_unordered takes either order of the two
-- answers to be as likely, and depends on no order.
CREATE VIEW agreement AS
WITH common AS (
    SELECT a.scenario, a.annotator_id AS a_id, b.annotator_id AS b_id, a.winner AS a, b.winner AS b
    FROM first_verdicts AS a
    JOIN first_verdicts AS b
        ON b.response_a_id = a.response_a_id AND b.response_b_id = a.response_b_id AND b.annotator_id > a.annotator_id
),
scoped AS (
    SELECT scenario, a_id, b_id, a, b FROM common
    UNION ALL
    SELECT 'overall', a_id, b_id, a, b FROM common
),
counts AS (
    -- by chance as many would agree, in pairs²: for one of the answers (in this order, in either), for neither
    SELECT scenario, a_id, b_id, count(*) AS pairs, sum(a = b) AS agreed,
           sum(a = 'model_a') * sum(b = 'model_a') + sum(a = 'model_b') * sum(b = 'model_b') AS ordered,
           0.5 * sum(a IN ('model_a', 'model_b')) * sum(b IN ('model_a', 'model_b')) AS unordered,
           sum(a = 'tie') * sum(b = 'tie') + sum(a = 'both_bad') * sum(b = 'both_bad') AS neither
    FROM scoped
    GROUP BY scenario, a_id, b_id
)
SELECT
    c.scenario,
    na.name AS annotator_a,
    na.kind AS kind_a,
    nb.name AS annotator_b,
    nb.kind AS kind_b,
    c.pairs AS response_pairs,
    c.agreed,
    1.0 * c.agreed / c.pairs AS agreement,
    1.0 * (c.pairs * c.agreed - c.ordered - c.neither) / nullif(c.pairs * c.pairs - c.ordered - c.neither, 0) AS kappa,
    (c.pairs * c.agreed - c.unordered - c.neither) / nullif(c.pairs * c.pairs - c.unordered - c.neither, 0)
        AS kappa_unordered
FROM counts AS c
JOIN annotators AS na ON na.id = c.a_id
JOIN annotators AS nb ON nb.id = c.b_id;
