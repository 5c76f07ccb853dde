-- What is ranked is what was chosen, and each vote counts once.
--
-- A crowd is a third kind of annotator: many people under one name. A judgment says whether it counts, was revised, or
-- repeats one. A rating names the selections that it is of, and has no rank where its interval has no width. The page
-- and rankings count the rows of the view votes; the view verdicts has all that was ever said.

DROP VIEW progress;
DROP VIEW agreement;
DROP VIEW leaderboard;
DROP VIEW win_rates;
DROP VIEW taken_slots;
DROP VIEW selected_pairs;
DROP VIEW battles;
DROP VIEW first_verdicts;
DROP VIEW votes;

-- One row per person, judge model, or crowd (many people under one name, each of whose rows is a vote of its own).
CREATE TABLE annotators_new (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
    kind        TEXT NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'model', 'crowd')),
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
INSERT INTO annotators_new SELECT id, name, kind, created_at FROM annotators;
DROP TABLE annotators;
ALTER TABLE annotators_new RENAME TO annotators;

-- counted: the annotator's vote on the response pair. revised: it was, until the annotator gave another one.
-- repeat: given when asked again, to see self-agreement.
ALTER TABLE judgments ADD COLUMN
    status TEXT NOT NULL DEFAULT 'counted' CHECK (status IN ('counted', 'revised', 'repeat'));
-- Of an Arena battle: turns of its conversation; 1 where the models' names were hidden.
ALTER TABLE judgments ADD COLUMN turn INTEGER CHECK (turn > 0);
ALTER TABLE judgments ADD COLUMN anony INTEGER CHECK (anony IN (0, 1));

-- As the source names it, such as English; NULL: unknown.
ALTER TABLE instructions ADD COLUMN language TEXT;

-- One row per model in one ranking run and scenario ('overall' for all that were ranked).
CREATE TABLE ratings_new (
    run_id            INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    scenario          TEXT NOT NULL,
    model_id          INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    method            TEXT NOT NULL CHECK (method IN ('elo', 'bt')),
    annotators        TEXT NOT NULL,                            -- 'people', 'judges', or a JSON array of names, perhaps
                                                                -- with ' except [names]' and ' (majority)' after it
    selections        TEXT CHECK (selections IS NULL OR json_valid(selections)),  -- array of names; NULL: all votes
    rating            REAL NOT NULL,
    lower             REAL NOT NULL,                            -- 95 % interval
    upper             REAL NOT NULL,
    rank              INTEGER CHECK (rank >= 1),                -- 1 + models whose lower is above this one's upper;
                                                                -- NULL: the interval has no width
    probability_best  REAL CHECK (probability_best BETWEEN 0 AND 1),  -- of being the best model; NULL: not computed
    battles           INTEGER NOT NULL CHECK (battles >= 0),
    component         INTEGER NOT NULL DEFAULT 1 CHECK (component >= 1),  -- differs where no chain of battles connects
    remark            TEXT,
    PRIMARY KEY (run_id, scenario, model_id)
) STRICT, WITHOUT ROWID;
INSERT INTO ratings_new (run_id, scenario, model_id, method, annotators, rating, lower, upper, rank, battles, component,
                         remark)
SELECT run_id, scenario, model_id, method, annotators, rating, lower, upper, iif(lower < upper, rank, NULL), battles,
       component, remark
FROM ratings;
DROP TABLE ratings;
ALTER TABLE ratings_new RENAME TO ratings;
CREATE INDEX ratings_model ON ratings (model_id);

-- One row per judgment, whether it counts or not, with who gave it and what it is about, in canonical order. An item is
-- the instruction with its two models: all of one (instruction_id, model_a_id, model_b_id). half_points are model_a's:
-- 2 for a win, 1 for a tie or both_bad, 0 for a loss. by_people: given by a person or a crowd, not by a judge model.
CREATE VIEW verdicts AS
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
    n.kind <> 'model' AS by_people,
    j.status,
    j.winner,
    CASE j.winner WHEN 'model_a' THEN 2 WHEN 'model_b' THEN 0 ELSE 1 END AS half_points,
    j.shown_first,
    j.seconds,
    j.comment,
    j.assignment_id,
    j.source,
    j.created_at,
    j.turn,
    j.anony,
    j.run_id
FROM judgments AS j
JOIN annotators AS n ON n.id = j.annotator_id
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id;

-- One row per verdict that counts: the vote that rankings, records and reports count. Of a person and of a judge model
-- there is one per response pair, of a crowd one per row.
CREATE VIEW votes AS
SELECT * FROM verdicts WHERE status = 'counted';

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

-- One row per selected pair: what people are asked to judge, in canonical order, with the verdicts it has so far.
CREATE VIEW selected_pairs AS
SELECT
    s.id AS selection_id,
    t.name AS selection,
    i.scenario,
    ma.name AS model_a,
    mb.name AS model_b,
    s.rank,
    s.score,
    s.cost,
    s.probability,
    i.id AS instruction_id,
    i.instruction,
    i.input,
    i.reference_answer,
    ra.response AS response_a,
    rb.response AS response_b,
    (SELECT count(*) FROM judgments AS j
     WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id) AS judgments,
    EXISTS (  -- no sheet and no page can hide what an answer says itself: such votes may not be blind
        SELECT 1
        FROM models AS n
        WHERE instr(lower(ra.response), lower(n.name)) OR instr(lower(rb.response), lower(n.name))
    ) AS names_a_model
FROM selections AS s
JOIN selection_sets AS t ON t.id = s.set_id
JOIN instructions AS i ON i.id = s.instruction_id
JOIN responses AS ra ON ra.id = s.response_a_id
JOIN responses AS rb ON rb.id = s.response_b_id
JOIN models AS ma ON ma.id = ra.model_id
JOIN models AS mb ON mb.id = rb.model_id;

-- One row per selected pair and person who has judged its answers (open_since NULL) or has them on the page before them.
CREATE VIEW taken_slots AS
SELECT s.set_id, s.id AS selection_id, j.annotator_id, NULL AS open_since
FROM selections AS s
JOIN judgments AS j ON j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id
JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
GROUP BY s.id, j.annotator_id
UNION ALL
SELECT s.set_id, s.id, a.annotator_id, a.dealt_at
FROM assignments AS a
JOIN selections AS s ON s.id = a.selection_id
JOIN runs AS r ON r.id = a.run_id AND r.command = 'annotate'  -- a sheet keeps nothing from others
WHERE a.state = 'open' AND a.repeat = 0;

-- One row per scenario ('overall' for all), model and opponent, from people's votes. A tie and both_bad count half.
CREATE VIEW win_rates AS
WITH sides AS (
    SELECT scenario, model_a_id AS model_id, model_b_id AS opponent_id, winner = 'model_a' AS won,
           winner = 'model_b' AS lost, winner
    FROM votes
    WHERE by_people
    UNION ALL
    SELECT scenario, model_b_id, model_a_id, winner = 'model_b', winner = 'model_a', winner
    FROM votes
    WHERE by_people
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
    r.probability_best,
    r.selections,
    r.remark,
    json_extract(u.parameters, '$.resample') AS resample,
    r.run_id
FROM latest AS l
JOIN ratings AS r ON r.run_id = l.run_id AND r.scenario = l.scenario
JOIN runs AS u ON u.id = l.run_id
JOIN models AS m ON m.id = r.model_id
ORDER BY r.scenario <> 'overall', r.scenario, r.component, r.rank IS NULL, r.rank, r.rating DESC;

-- One row per scenario ('overall' for all) and two annotators who both judged a response pair of it, people and judge
-- models alike. agreement is the share of their common response pairs on which they said the same; kappa (Cohen's) is
-- what is left of it beyond chance, NULL where both always gave one and the same verdict. Canonical order is the order
-- in which models were imported: where the first ones win, chance seems to agree. kappa_unordered takes either order of
-- the two answers to be as likely, and depends on no order.
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

-- One row per stage and what it works on (a model, a metric, a selection), per scenario: what is done, what is left.
CREATE VIEW progress AS
WITH answered AS (
    SELECT i.scenario, r.model_id, count(DISTINCT r.instruction_id) AS done
    FROM responses AS r
    JOIN instructions AS i ON i.id = r.instruction_id
    GROUP BY i.scenario, r.model_id
),
pool AS (
    SELECT scenario, count(*) AS instructions FROM instructions GROUP BY scenario
),
-- Answers per instruction and model; pairs of different models' answers = (all² − Σ own²) / 2.
answers AS (
    SELECT instruction_id, model_id, count(*) AS n FROM responses GROUP BY instruction_id, model_id
),
possible AS (
    SELECT i.scenario, sum(p.pairs) AS pairs
    FROM (SELECT instruction_id, (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM answers GROUP BY instruction_id) AS p
    JOIN instructions AS i ON i.id = p.instruction_id
    GROUP BY i.scenario
),
measured AS (
    SELECT s.metric_id, i.scenario, count(*) AS done
    FROM similarities AS s
    JOIN instructions AS i ON i.id = s.instruction_id
    GROUP BY s.metric_id, i.scenario
)
SELECT 'inference' AS stage, m.name AS name, a.scenario, a.done, p.instructions - a.done AS pending
FROM answered AS a
JOIN models AS m ON m.id = a.model_id
JOIN pool AS p ON p.scenario = a.scenario
UNION ALL
SELECT 'similarity', t.name, d.scenario, d.done, p.pairs - d.done
FROM measured AS d
JOIN metrics AS t ON t.id = d.metric_id
JOIN possible AS p ON p.scenario = d.scenario
UNION ALL
SELECT 'judgment', selection, scenario, sum(judgments > 0), sum(judgments = 0)
FROM selected_pairs
GROUP BY selection, scenario;
