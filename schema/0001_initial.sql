-- The store of madetl: one SQLite file, one table per kind of thing, each stage's rows in a table of its own.
--
-- Order: "canonical" means model_a has the lower models.id. Everything below is stored in canonical order; what an
-- annotator saw is kept beside it in shown_first. The view battles turns the rows back into the order shown.
-- Times are UTC text as ISO 8601. hash columns hold the hexadecimal SHA-256 of the exact UTF-8 text.

PRAGMA application_id = 1296122929;  -- "MAD1": tells madetl's files from other SQLite files

-- One row per execution of a stage. The rows that it made carry its id and go with it (madetl delete run).
CREATE TABLE runs (
    id           INTEGER PRIMARY KEY,
    command      TEXT NOT NULL,                                        -- 'import alpaca-eval', 'select', 'rank'
    parameters   TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(parameters)),  -- every parameter, defaults included
    seed         INTEGER,                                              -- NULL: nothing was drawn at random
    version      TEXT NOT NULL,                                        -- of madetl
    started_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    finished_at  TEXT,
    outcome      TEXT CHECK (outcome IN ('ok', 'failed', 'interrupted')),    -- NULL: still running, or killed
    summary      TEXT                                                  -- the run's closing line, counts and warnings
) STRICT;

-- One row per model that answers, judges or embeds.
CREATE TABLE models (
    id             INTEGER PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE CHECK (name <> ''),
    provider       TEXT CHECK (provider IN ('openai', 'gemini', 'vllm')),  -- NULL: known from imported files alone
    model_id       TEXT,                                              -- the provider's name for it; NULL: name
    base_url       TEXT,
    system_prompt  TEXT,
    settings       TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),  -- sampling; parameters it refuses
    price_in       REAL CHECK (price_in >= 0),                        -- USD per million tokens; NULL: unknown
    price_out      REAL CHECK (price_out >= 0),
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- One row per instruction in a scenario. parent_id and generation give its descent (0: a seed); source names the model
-- that wrote it where one did.
CREATE TABLE instructions (
    id                INTEGER PRIMARY KEY,
    scenario          TEXT NOT NULL CHECK (scenario NOT IN ('', 'overall')),  -- 'overall' names all of them in ratings
    instruction       TEXT NOT NULL CHECK (instruction <> ''),
    input             TEXT NOT NULL DEFAULT '',
    hash              TEXT NOT NULL CHECK (length(hash) = 64),  -- of instruction, or of instruction || NUL || input
    reference_answer  TEXT,                                     -- the first one given stands
    source            TEXT,                                     -- file or data set that it came from
    parent_id         INTEGER REFERENCES instructions (id) ON DELETE SET NULL,
    generation        INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    call_id           INTEGER REFERENCES calls (id) ON DELETE SET NULL,  -- the request whose answer it is
    run_id            INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    created_at        TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (scenario, hash)
) STRICT;
CREATE INDEX instructions_parent ON instructions (parent_id);
CREATE INDEX instructions_call ON instructions (call_id);
CREATE INDEX instructions_run ON instructions (run_id);

-- One row per request to a model, written before it is sent and closed after.
CREATE TABLE calls (
    id             INTEGER PRIMARY KEY,
    run_id         INTEGER REFERENCES runs (id) ON DELETE SET NULL,  -- money spent stays on the books
    stage          TEXT NOT NULL,
    model_id       INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    request_hash   TEXT NOT NULL CHECK (length(request_hash) = 64),
    sample         INTEGER NOT NULL DEFAULT 0 CHECK (sample >= 0),   -- tells repeated answers to one request apart
    attempt        INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    outcome        TEXT CHECK (outcome IN (
                       'ok', 'truncated', 'empty', 'rate_limited', 'timeout', 'connection_error', 'server_error',
                       'client_error', 'refused', 'blocked', 'invalid', 'interrupted')),  -- NULL: in flight
    answer         TEXT,
    finish_reason  TEXT,
    http_status    INTEGER,
    tokens_in      INTEGER CHECK (tokens_in >= 0),
    tokens_out     INTEGER CHECK (tokens_out >= 0),
    cost           REAL CHECK (cost >= 0),                           -- USD; NULL: the price is unknown
    latency        REAL CHECK (latency >= 0),                        -- seconds
    model_version  TEXT,
    error          TEXT,
    started_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    finished_at    TEXT,
    UNIQUE (request_hash, sample, attempt, model_id)
) STRICT;
CREATE INDEX calls_run ON calls (run_id);
CREATE INDEX calls_model ON calls (model_id);

-- One row per answer of one model to one instruction; sample tells repeated answers apart.
CREATE TABLE responses (
    id              INTEGER PRIMARY KEY,
    instruction_id  INTEGER NOT NULL REFERENCES instructions (id) ON DELETE CASCADE,
    model_id        INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    sample          INTEGER NOT NULL DEFAULT 0 CHECK (sample >= 0),
    response        TEXT NOT NULL,                               -- may be empty; an empty one is never eligible
    hash            TEXT NOT NULL CHECK (length(hash) = 64),
    words           INTEGER NOT NULL CHECK (words >= 0),         -- letter and digit runs; CJK, kana, Thai by character
    characters      INTEGER NOT NULL CHECK (characters >= 0),
    call_id         INTEGER REFERENCES calls (id) ON DELETE SET NULL,
    source          TEXT,
    run_id          INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (instruction_id, model_id, sample)
) STRICT;
CREATE INDEX responses_model ON responses (model_id);
CREATE INDEX responses_call ON responses (call_id);
CREATE INDEX responses_run ON responses (run_id);

-- One row per unordered pair of models, in canonical order.
CREATE TABLE pairs (
    id          INTEGER PRIMARY KEY,
    model_a_id  INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    model_b_id  INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    UNIQUE (model_a_id, model_b_id),
    CHECK (model_a_id < model_b_id)
) STRICT;
CREATE INDEX pairs_model_b ON pairs (model_b_id);

-- One row per way to measure similarity with all its parameters (model, prompt, analyser).
CREATE TABLE metrics (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL CHECK (name <> ''),
    parameters  TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(parameters)),
    hash        TEXT NOT NULL CHECK (length(hash) = 64),         -- of parameters
    model_id    INTEGER REFERENCES models (id) ON DELETE CASCADE,
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (name, hash)
) STRICT;
CREATE INDEX metrics_model ON metrics (model_id);

-- One row per text embedded by one metric: a response, or an instruction (hash as in instructions.hash).
-- A table with rowids: WITHOUT ROWID would put the large blobs into the key's own b-tree.
CREATE TABLE embeddings (
    id          INTEGER PRIMARY KEY,
    metric_id   INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
    hash        TEXT NOT NULL CHECK (length(hash) = 64),
    dimensions  INTEGER NOT NULL CHECK (dimensions > 0),
    vector      BLOB NOT NULL CHECK (length(vector) = 4 * dimensions),  -- float32, little-endian, unit length
    truncated   INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),  -- the text was cut at the model's limit
    UNIQUE (metric_id, hash)
) STRICT;

-- One row per pair of responses to one instruction, measured by one metric.
-- shorter_words and length_ratio stand beside the score so that the filters of a selection are an index walk.
CREATE TABLE similarities (
    id              INTEGER PRIMARY KEY,
    metric_id       INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
    pair_id         INTEGER NOT NULL REFERENCES pairs (id) ON DELETE CASCADE,
    instruction_id  INTEGER NOT NULL REFERENCES instructions (id) ON DELETE CASCADE,
    response_a_id   INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    response_b_id   INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    score           REAL NOT NULL,                             -- higher is more alike
    shorter_words   INTEGER NOT NULL,                          -- words of the answer that has fewer
    length_ratio    REAL NOT NULL CHECK (length_ratio >= 0),   -- characters, longer by shorter; 0: one is empty
    explanation     TEXT,
    run_id          INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    UNIQUE (metric_id, response_a_id, response_b_id)
) STRICT;
CREATE INDEX similarities_by_score ON similarities (
    pair_id, metric_id, score, instruction_id, response_a_id, response_b_id, shorter_words, length_ratio);
CREATE INDEX similarities_instruction ON similarities (instruction_id);
CREATE INDEX similarities_response_a ON similarities (response_a_id);
CREATE INDEX similarities_response_b ON similarities (response_b_id);
CREATE INDEX similarities_run ON similarities (run_id);

-- One row per selection that a study works through. Runs extend it (a new model, a larger K), never start it anew.
CREATE TABLE selection_sets (
    id                     INTEGER PRIMARY KEY,
    name                   TEXT NOT NULL UNIQUE CHECK (name <> ''),
    scenario               TEXT,                                        -- NULL: all
    metric_id              INTEGER NOT NULL REFERENCES metrics (id) ON DELETE CASCADE,
    strategy               TEXT NOT NULL CHECK (strategy IN ('mad', 'evidence', 'band', 'random')),
    pair_policy            TEXT NOT NULL DEFAULT 'uniform' CHECK (pair_policy IN ('uniform', 'adaptive')),
    top_k                  INTEGER NOT NULL CHECK (top_k > 0),          -- of each model pair; adaptive: the most of one
    budget                 INTEGER CHECK (budget > 0),                  -- adaptive: picks in all
    diversity              REAL NOT NULL DEFAULT 0 CHECK (diversity >= 0),  -- the method's lambda
    instruction_metric_id  INTEGER REFERENCES metrics (id) ON DELETE CASCADE,
    min_words              INTEGER NOT NULL CHECK (min_words >= 0),     -- 0: off
    max_length_ratio       REAL NOT NULL CHECK (max_length_ratio >= 0), -- 0: off
    candidates             TEXT NOT NULL CHECK (candidates IN ('all', 'judged', 'unjudged')),  -- --pairs
    seed                   INTEGER,
    run_id                 INTEGER REFERENCES runs (id) ON DELETE CASCADE,  -- the run that began it
    created_at             TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CHECK ((pair_policy = 'adaptive') = (budget IS NOT NULL))
) STRICT;
CREATE INDEX selection_sets_metric ON selection_sets (metric_id);
CREATE INDEX selection_sets_instruction_metric ON selection_sets (instruction_metric_id);
CREATE INDEX selection_sets_run ON selection_sets (run_id);

-- One row per response pair picked in a selection; one response pair per instruction and model pair.
CREATE TABLE selections (
    id              INTEGER PRIMARY KEY,
    set_id          INTEGER NOT NULL REFERENCES selection_sets (id) ON DELETE CASCADE,
    pair_id         INTEGER NOT NULL REFERENCES pairs (id) ON DELETE CASCADE,
    rank            INTEGER NOT NULL CHECK (rank >= 1),          -- k of the greedy: 1 is the most different
    instruction_id  INTEGER NOT NULL REFERENCES instructions (id) ON DELETE CASCADE,
    response_a_id   INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    response_b_id   INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    score           REAL NOT NULL,
    cost            REAL,                                        -- what the greedy minimised; NULL: drawn at random
    probability     REAL CHECK (probability > 0 AND probability <= 1),  -- with which the votes so far let an adaptive
                                                                 -- selection draw this model pair; NULL: not adaptive
    run_id          INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    UNIQUE (set_id, pair_id, rank),
    UNIQUE (set_id, pair_id, instruction_id)
) STRICT;
CREATE INDEX selections_pair ON selections (pair_id);
CREATE INDEX selections_instruction ON selections (instruction_id);
CREATE INDEX selections_response_a ON selections (response_a_id);
CREATE INDEX selections_response_b ON selections (response_b_id);
CREATE INDEX selections_run ON selections (run_id);

-- One row per person or judge model that gives verdicts.
CREATE TABLE annotators (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
    kind        TEXT NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'model')),
    created_at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- One row per dealing of a selected pair to an annotator, or to a sheet that has no annotator yet (annotator_id NULL).
-- What was skipped or undone keeps its row as the trace; dealt again, the pair gets a new one.
-- The id is the item number on a sheet and on the page: drawn at random, it says nothing about the models nor when the
-- item was dealt. What came first is told by dealt_at and decided_at (of the page, in microseconds).
CREATE TABLE assignments (
    id            INTEGER PRIMARY KEY,
    selection_id  INTEGER NOT NULL REFERENCES selections (id) ON DELETE CASCADE,
    annotator_id  INTEGER REFERENCES annotators (id) ON DELETE CASCADE,
    repeat        INTEGER NOT NULL DEFAULT 0 CHECK (repeat >= 0),  -- 1, 2, …: asked again, to see self-agreement
    shown_first   TEXT NOT NULL CHECK (shown_first IN ('model_a', 'model_b')),
    state         TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'judged', 'skipped', 'undone')),
    run_id        INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    dealt_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    decided_at    TEXT
) STRICT;
CREATE UNIQUE INDEX assignments_key ON assignments (selection_id, ifnull(annotator_id, 0), repeat)
    WHERE state IN ('open', 'judged');
CREATE INDEX assignments_annotator ON assignments (annotator_id);
CREATE INDEX assignments_run ON assignments (run_id);

-- One row per verdict of one annotator on one response pair.
CREATE TABLE judgments (
    id             INTEGER PRIMARY KEY,
    annotator_id   INTEGER NOT NULL REFERENCES annotators (id) ON DELETE CASCADE,
    response_a_id  INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    response_b_id  INTEGER NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    winner         TEXT NOT NULL CHECK (winner IN ('model_a', 'model_b', 'tie', 'both_bad')),
    shown_first    TEXT CHECK (shown_first IN ('model_a', 'model_b')),  -- NULL: unknown
    seconds        REAL CHECK (seconds >= 0),
    comment        TEXT,
    assignment_id  INTEGER REFERENCES assignments (id) ON DELETE SET NULL,
    source         TEXT NOT NULL,                               -- 'arena:battles.json', 'sheet', 'page'
    source_id      TEXT NOT NULL,                               -- the source's own id, or one made of the row's content
                                                                -- and its count among identical rows of the file
    created_at     TEXT,                                        -- when it was given; NULL: unknown
    run_id         INTEGER REFERENCES runs (id) ON DELETE CASCADE,
    UNIQUE (annotator_id, response_a_id, response_b_id, source_id)
) STRICT;
CREATE INDEX judgments_responses ON judgments (response_a_id, response_b_id);
CREATE INDEX judgments_response_b ON judgments (response_b_id);
CREATE INDEX judgments_assignment ON judgments (assignment_id);
CREATE INDEX judgments_run ON judgments (run_id);

-- A judgment compares answers of two models to one instruction, in canonical order, whoever writes it.
CREATE TRIGGER judgments_canonical BEFORE INSERT ON judgments
WHEN NOT EXISTS (
    SELECT 1
    FROM responses AS a
    JOIN responses AS b ON b.instruction_id = a.instruction_id AND b.model_id > a.model_id
    WHERE a.id = new.response_a_id AND b.id = new.response_b_id)
BEGIN
    SELECT raise(ABORT, 'a judgment needs two responses to one instruction, response_a of the model with the lower id');
END;

-- One row per model in one ranking run and scenario ('overall' for all).
CREATE TABLE ratings (
    run_id      INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    scenario    TEXT NOT NULL,
    model_id    INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    method      TEXT NOT NULL CHECK (method IN ('elo', 'bt')),
    annotators  TEXT NOT NULL,                                  -- 'people', 'judges', or a JSON array of names, perhaps
                                                                -- with ' except [names]' and ' (majority)' after it
    rating      REAL NOT NULL,
    lower       REAL NOT NULL,                                  -- 95 % interval
    upper       REAL NOT NULL,
    rank        INTEGER NOT NULL CHECK (rank >= 1),             -- 1 + models whose lower is above this one's upper
    battles     INTEGER NOT NULL CHECK (battles >= 0),
    island      INTEGER NOT NULL DEFAULT 1 CHECK (island >= 1), -- models that no chain of battles connects differ in it
    remark      TEXT,
    PRIMARY KEY (run_id, scenario, model_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX ratings_model ON ratings (model_id);

-- One row per judgment, in the columns of Chatbot Arena's data sets: model_a is the model that was shown first
-- (where that is unknown, the canonical one).
CREATE VIEW battles AS
SELECT
    j.id AS judgment_id,
    i.scenario,
    i.id AS instruction_id,
    i.instruction,
    CASE WHEN j.shown_first = 'model_b' THEN mb.name ELSE ma.name END AS model_a,
    CASE WHEN j.shown_first = 'model_b' THEN ma.name ELSE mb.name END AS model_b,
    CASE
        WHEN j.shown_first = 'model_b' AND j.winner = 'model_a' THEN 'model_b'
        WHEN j.shown_first = 'model_b' AND j.winner = 'model_b' THEN 'model_a'
        ELSE j.winner
    END AS winner,
    CASE WHEN j.shown_first = 'model_b' THEN rb.response ELSE ra.response END AS response_a,
    CASE WHEN j.shown_first = 'model_b' THEN ra.response ELSE rb.response END AS response_b,
    CASE j.winner WHEN 'model_a' THEN ma.name WHEN 'model_b' THEN mb.name END AS winner_model,
    n.name AS annotator,
    n.kind AS annotator_kind,
    j.shown_first IS NOT NULL AS order_known,
    j.seconds,
    j.comment,
    j.source,
    j.created_at AS tstamp
FROM judgments AS j
JOIN responses AS ra ON ra.id = j.response_a_id
JOIN responses AS rb ON rb.id = j.response_b_id
JOIN instructions AS i ON i.id = ra.instruction_id
JOIN models AS ma ON ma.id = ra.model_id
JOIN models AS mb ON mb.id = rb.model_id
JOIN annotators AS n ON n.id = j.annotator_id;

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
WITH votes AS (
    SELECT i.scenario, ra.model_id AS a, rb.model_id AS b, j.winner
    FROM judgments AS j
    JOIN annotators AS n ON n.id = j.annotator_id AND n.kind = 'person'
    JOIN responses AS ra ON ra.id = j.response_a_id
    JOIN responses AS rb ON rb.id = j.response_b_id
    JOIN instructions AS i ON i.id = ra.instruction_id
),
sides AS (
    SELECT scenario, a AS model_id, b AS opponent_id, winner = 'model_a' AS won, winner = 'model_b' AS lost, winner
    FROM votes
    UNION ALL
    SELECT scenario, b, a, winner = 'model_b', winner = 'model_a', winner
    FROM votes
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
    r.island,
    r.remark,
    json_extract(u.parameters, '$.resample') AS resample,
    r.run_id
FROM latest AS l
JOIN ratings AS r ON r.run_id = l.run_id AND r.scenario = l.scenario
JOIN runs AS u ON u.id = l.run_id
JOIN models AS m ON m.id = r.model_id
ORDER BY r.scenario <> 'overall', r.scenario, r.island, r.rank, r.rating DESC;

-- One row per annotator and response pair: their first verdict on it. What they said when they were asked again (a
-- repeat), or gave a second verdict, comes after.
CREATE VIEW first_verdicts AS
SELECT i.scenario, v.annotator_id, n.kind, v.response_a_id, v.response_b_id, v.winner, v.judgment_id
FROM (
    SELECT j.id AS judgment_id, j.annotator_id, j.response_a_id, j.response_b_id, j.winner,
           row_number() OVER (
               PARTITION BY j.annotator_id, j.response_a_id, j.response_b_id ORDER BY ifnull(d.repeat, 0), j.id
           ) AS place
    FROM judgments AS j
    LEFT JOIN assignments AS d ON d.id = j.assignment_id
) AS v
JOIN annotators AS n ON n.id = v.annotator_id
JOIN responses AS r ON r.id = v.response_a_id
JOIN instructions AS i ON i.id = r.instruction_id
WHERE v.place = 1;

-- One row per scenario ('overall' for all) and two annotators who both judged a response pair of it, people and judge
-- models alike. agreement is the share of their common items on which they said the same; kappa (Cohen's) is what is
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
    -- by chance as many would agree, in items²: for one of the answers (in this order, in either), for neither
    SELECT scenario, a_id, b_id, count(*) AS items, sum(a = b) AS agreed,
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
    c.items,
    c.agreed,
    1.0 * c.agreed / c.items AS agreement,
    1.0 * (c.items * c.agreed - c.ordered - c.neither) / nullif(c.items * c.items - c.ordered - c.neither, 0) AS kappa,
    (c.items * c.agreed - c.unordered - c.neither) / nullif(c.items * c.items - c.unordered - c.neither, 0)
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

-- One row per stage and model that was asked: requests, tokens, cost. cost is NULL where a price is unknown.
CREATE VIEW spend AS
SELECT
    c.stage,
    m.name AS model,
    count(*) AS calls,
    sum(c.outcome IN ('ok', 'truncated')) AS answered,
    sum(c.tokens_in) AS tokens_in,
    sum(c.tokens_out) AS tokens_out,
    CASE WHEN sum(c.cost IS NULL AND c.tokens_out IS NOT NULL) = 0 THEN sum(c.cost) END AS cost
FROM calls AS c
JOIN models AS m ON m.id = c.model_id
GROUP BY c.stage, m.name;
