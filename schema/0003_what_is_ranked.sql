-- What is ranked is what was chosen, and each vote counts once.
--
-- A crowd is a third kind of annotator: many people under one name. A judgment says whether it counts, was revised, or
-- repeats one. A rating names the selections that it is of, and has no rank where its interval has no width. The page
-- and rankings count the rows of the view votes; the view verdicts has all that was ever said.

DROP VIEW spend;
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
-- What the imports of Arena's and MAD-Eval's files called whoever judged there was never one person, nor is Arena's own
-- word for its visitors.
UPDATE annotators
SET kind = 'crowd'
WHERE kind = 'person'
    AND name IN ('arena', 'arena_user', 'mad-eval')
    AND EXISTS (
        SELECT 1
        FROM judgments AS j
        WHERE j.annotator_id = annotators.id AND j.source LIKE replace(annotators.name, '_user', '') || ':%')
    AND NOT EXISTS (SELECT 1 FROM assignments AS a WHERE a.annotator_id = annotators.id);

-- counted: the annotator's vote on the response pair. revised: it was, until the annotator gave another one.
-- repeat: given when asked again, to see self-agreement.
ALTER TABLE judgments ADD COLUMN
    status TEXT NOT NULL DEFAULT 'counted' CHECK (status IN ('counted', 'revised', 'repeat'));
-- What a person or a judge model gave when asked again, and their second verdicts, never count; the first one does.
UPDATE judgments
SET status = 'repeat'
WHERE assignment_id IN (SELECT a.id FROM assignments AS a WHERE a.repeat > 0);
UPDATE judgments
SET status = 'repeat'
WHERE status = 'counted'
    AND annotator_id IN (SELECT n.id FROM annotators AS n WHERE n.kind <> 'crowd')
    AND id > (
        SELECT min(j.id)
        FROM judgments AS j
        WHERE j.annotator_id = judgments.annotator_id
            AND j.response_a_id = judgments.response_a_id
            AND j.response_b_id = judgments.response_b_id
            AND j.status = 'counted');

-- One vote per person or judge model and response pair; of a crowd each row is one.
CREATE TRIGGER judgments_count_once BEFORE INSERT ON judgments
WHEN new.status = 'counted'
    AND (SELECT n.kind FROM annotators AS n WHERE n.id = new.annotator_id) <> 'crowd'
    AND EXISTS (
        SELECT 1
        FROM judgments AS j
        WHERE j.annotator_id = new.annotator_id
            AND j.response_a_id = new.response_a_id
            AND j.response_b_id = new.response_b_id
            AND j.status = 'counted')
BEGIN
    SELECT raise(ABORT, 'this annotator has a counted judgment of these two responses already');
END;
CREATE TRIGGER judgments_still_count_once
BEFORE UPDATE OF annotator_id, response_a_id, response_b_id, status ON judgments
WHEN new.status = 'counted'
    AND (SELECT n.kind FROM annotators AS n WHERE n.id = new.annotator_id) <> 'crowd'
    AND EXISTS (
        SELECT 1
        FROM judgments AS j
        WHERE j.id <> old.id
            AND j.annotator_id = new.annotator_id
            AND j.response_a_id = new.response_a_id
            AND j.response_b_id = new.response_b_id
            AND j.status = 'counted')
BEGIN
    SELECT raise(ABORT, 'this annotator has a counted judgment of these two responses already');
END;

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
                                                                -- NULL: nothing was drawn that changes the rating
    probability_best  REAL CHECK (probability_best BETWEEN 0 AND 1),  -- of being the best of its component; NULL: not
                                                                -- computed
    battles           INTEGER NOT NULL CHECK (battles >= 0),
    component         INTEGER NOT NULL DEFAULT 1 CHECK (component >= 1),  -- differs where no chain of battles connects
    remark            TEXT,
    PRIMARY KEY (run_id, scenario, model_id)
) STRICT, WITHOUT ROWID;
INSERT INTO ratings_new (run_id, scenario, model_id, method, annotators, rating, lower, upper, rank, battles, component,
                         remark)
SELECT r.run_id, r.scenario, r.model_id, r.method, r.annotators, r.rating, r.lower, r.upper,
       iif(r.upper - r.lower > 1e-6 AND json_extract(u.parameters, '$.resample') IS NOT 'permute', r.rank, NULL), r.battles,
       r.component, r.remark
FROM ratings AS r
JOIN runs AS u ON u.id = r.run_id;
-- The runs of rankings say which scenarios in a list.
UPDATE runs
SET parameters = json_set(
    json_remove(parameters, '$.scenario'),
    '$.scenarios',
    json(iif(
        json_extract(parameters, '$.scenario') IS NULL, '[]', json_array(json_extract(parameters, '$.scenario')))))
WHERE command = 'rank' AND json_type(parameters, '$.scenario') IS NOT NULL;
DROP TABLE ratings;
ALTER TABLE ratings_new RENAME TO ratings;
CREATE INDEX ratings_model ON ratings (model_id);

-- Which instructions a selection picks from, as it was begun: it stays with them when others are written later.
ALTER TABLE selection_sets ADD COLUMN scenarios TEXT CHECK (scenarios IS NULL OR json_valid(scenarios));  -- JSON array
                                                                -- of names in their order; NULL: all
UPDATE selection_sets SET scenarios = json_array(scenario) WHERE scenario IS NOT NULL;
ALTER TABLE selection_sets DROP COLUMN scenario;
-- 'evolved' (all rewritings), 'seeds', 'all' (so did selections before this version), or one generation's number. Where
-- nobody said which, a JSON object: scenario -> the word that held when the selection first met the scenario.
ALTER TABLE selection_sets ADD COLUMN generation TEXT NOT NULL DEFAULT 'all' CHECK (
    generation IN ('evolved', 'seeds', 'all')
    OR iif(json_valid(generation), json_type(generation) IN ('integer', 'object'), 0)
);
CREATE INDEX instructions_generation ON instructions (scenario, generation);

-- One row per instruction that models are compared on where nobody says which generation: the rewritings of a scenario,
-- of all rounds, or its seeds where it has none. Others are chosen by sql/store/pool.sql.
CREATE VIEW pool AS
SELECT i.id, i.scenario, i.generation, i.instruction, i.input
FROM instructions AS i
WHERE i.generation > 0
    OR NOT EXISTS (SELECT 1 FROM instructions AS r WHERE r.scenario = i.scenario AND r.generation > 0);

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

-- One row per vote, in the columns of Chatbot Arena's data sets: model_a is the model that was shown first
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

-- One row per selected pair: what people are asked to judge, in canonical order, with the votes it has so far.
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
    (
        SELECT count(*)
        FROM judgments AS j
        WHERE j.response_a_id = s.response_a_id AND j.response_b_id = s.response_b_id AND j.status = 'counted'
    ) AS judgments,
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
    SELECT r.scenario, max(r.run_id) AS run_id
    FROM ratings AS r
    JOIN runs AS u ON u.id = r.run_id
    WHERE r.method = 'elo' AND r.annotators = 'people'
        -- 'overall' of some of the scenarios is not that of all
        AND (r.scenario <> 'overall' OR ifnull(json_array_length(u.parameters, '$.scenarios'), 0) = 0)
    GROUP BY r.scenario
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
ORDER BY r.scenario <> 'overall', r.scenario, r.component, r.rating DESC;

-- One row per scenario ('overall' for all) and two annotators who both judged a response pair of it, people and judge
-- models alike; a crowd is many people, and agrees with nobody. agreement is the share of their common response pairs on
-- which they voted the same; kappa (Cohen's) is what is left of it beyond chance, NULL where both always gave one and
-- the same verdict. Canonical order is the order in which models were imported: where the first ones win, chance seems
-- to agree. kappa_unordered takes either order of the two answers to be as likely, and depends on no order.
CREATE VIEW agreement AS
WITH common AS (
    SELECT a.scenario, a.annotator_id AS a_id, b.annotator_id AS b_id, a.winner AS a, b.winner AS b
    FROM votes AS a
    JOIN votes AS b
        ON b.response_a_id = a.response_a_id AND b.response_b_id = a.response_b_id AND b.annotator_id > a.annotator_id
    WHERE a.kind <> 'crowd' AND b.kind <> 'crowd'
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

-- One row per stage and what it works on (a model, a metric, a selection), per scenario: what is done of the view pool,
-- what is left; of a selection, what is judged of its picks.
CREATE VIEW progress AS
WITH answers AS (  -- of each model to an instruction of the pool
    SELECT p.scenario, r.instruction_id, r.model_id, count(*) AS n
    FROM pool AS p
    JOIN responses AS r ON r.instruction_id = p.id
    GROUP BY r.instruction_id, r.model_id
),
answered AS (  -- 0 where a model has answered what is not in the pool
    SELECT i.scenario, r.model_id, count(DISTINCT p.id) AS done
    FROM responses AS r
    JOIN instructions AS i ON i.id = r.instruction_id
    LEFT JOIN pool AS p ON p.id = i.id
    GROUP BY i.scenario, r.model_id
),
sizes AS (
    SELECT scenario, count(*) AS instructions FROM pool GROUP BY scenario
),
-- Pairs of different models' answers to an instruction = (all² − Σ own²) / 2.
possible AS (
    SELECT scenario, sum(pairs) AS pairs
    FROM (
        SELECT scenario, (sum(n) * sum(n) - sum(n * n)) / 2 AS pairs FROM answers GROUP BY scenario, instruction_id
    )
    GROUP BY scenario
),
measured AS (
    SELECT s.metric_id, i.scenario, count(p.id) AS done
    FROM similarities AS s
    JOIN instructions AS i ON i.id = s.instruction_id
    LEFT JOIN pool AS p ON p.id = i.id
    GROUP BY s.metric_id, i.scenario
)
SELECT 'inference' AS stage, m.name AS name, a.scenario, a.done, z.instructions - a.done AS pending
FROM answered AS a
JOIN models AS m ON m.id = a.model_id
JOIN sizes AS z ON z.scenario = a.scenario
UNION ALL
SELECT 'similarity', t.name, d.scenario, d.done, ifnull(p.pairs, 0) - d.done
FROM measured AS d
JOIN metrics AS t ON t.id = d.metric_id
LEFT JOIN possible AS p ON p.scenario = d.scenario
UNION ALL
SELECT 'judgment', selection, scenario, sum(judgments > 0), sum(judgments = 0)
FROM selected_pairs
GROUP BY selection, scenario;

-- One row per stage and model that was asked: requests, tokens, cost. cost is NULL where that of an answer is unknown: it
-- has no price, or nobody said how many tokens it took.
CREATE VIEW spend AS
SELECT
    c.stage,
    m.name AS model,
    count(*) AS calls,
    sum(c.outcome IN ('ok', 'truncated')) AS answered,
    sum(c.tokens_in) AS tokens_in,
    sum(c.tokens_out) AS tokens_out,
    CASE
        WHEN sum(
            c.cost IS NULL
            AND (
                coalesce(c.tokens_in, c.tokens_out) IS NOT NULL
                OR c.outcome IN ('ok', 'truncated', 'empty', 'invalid'))) = 0
            THEN sum(c.cost)
    END AS cost
FROM calls AS c
JOIN models AS m ON m.id = c.model_id
GROUP BY c.stage, m.name;
