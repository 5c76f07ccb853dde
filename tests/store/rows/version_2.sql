-- Rows in every table of a database of version 2 (schema/0002_votes_and_components.sql): what a study of that version may hold.
-- Three models, two scenarios; repeated answers, an empty one; two people and a judge model; a repeat, a second verdict,
-- a skip, an undone verdict; a ranking of two parts that no battle connects.
INSERT INTO runs (id, command, parameters, seed, version, started_at, finished_at, outcome, summary) VALUES
    (1, 'import responses', '{"files": ["answers.jsonl"]}', NULL, '0.1.0', '2026-01-01T10:00:00.000Z', '2026-01-01T10:00:01.000Z', 'ok', '11 responses: 11 new'),
    (2, 'infer', '{"model": "c"}', NULL, '0.1.0', '2026-01-01T11:00:00.000Z', NULL, NULL, NULL),
    (3, 'select', '{"top_k": 2}', 42, '0.1.0', '2026-01-01T12:00:00.000Z', '2026-01-01T12:00:01.000Z', 'ok', 'pilot'),
    (4, 'annotate', '{}', 42, '0.1.0', '2026-01-01T13:00:00.000Z', '2026-01-01T14:00:00.000Z', 'ok', NULL),
    (5, 'rank', '{"method": "elo", "resample": "bootstrap"}', 42, '0.1.0', '2026-01-02T10:00:00.000Z', '2026-01-02T10:00:01.000Z', 'ok', NULL);
INSERT INTO models (id, name, provider, model_id, base_url, system_prompt, settings, price_in, price_out) VALUES
    (1, 'a', NULL, NULL, NULL, NULL, '{}', NULL, NULL),
    (2, 'b', NULL, NULL, NULL, NULL, '{}', NULL, NULL),
    (3, 'c', 'openai', 'gpt-c', 'http://127.0.0.1:9/v1', 'Be brief.', '{"temperature": 0.0}', 1.5, 3.0);
INSERT INTO calls (id, run_id, stage, model_id, request_hash, outcome, answer, tokens_in, tokens_out, cost, latency) VALUES
    (1, 2, 'inference', 3, printf('%064d', 901), 'ok', 'an answer of c', 10, 4, 0.000027, 0.5),
    (2, 2, 'inference', 3, printf('%064d', 902), NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO instructions (id, scenario, instruction, input, hash, reference_answer, source, parent_id, generation, run_id) VALUES
    (1, 'Writing', 'Write a letter.', '', printf('%064d', 1), NULL, 'seeds.jsonl', NULL, 0, 1),
    (2, 'Writing', 'Write a poem.', '', printf('%064d', 2), NULL, NULL, 1, 1, 1),
    (3, 'Writing', 'Sum this up.', 'A long text.', printf('%064d', 3), NULL, NULL, NULL, 0, 1),
    (4, 'Reasoning', 'What is 2 + 2?', '', printf('%064d', 4), '4', NULL, NULL, 0, 1);
INSERT INTO responses (id, instruction_id, model_id, sample, response, hash, words, characters, call_id, run_id) VALUES
    (11, 1, 1, 0, 'a on 1', printf('%064d', 11), 30, 150, NULL, 1),
    (12, 1, 2, 0, 'b on 1', printf('%064d', 12), 40, 200, NULL, 1),
    (13, 1, 3, 0, 'c on 1', printf('%064d', 13), 25, 125, 1, 2),
    (21, 2, 1, 0, 'a on 2', printf('%064d', 21), 30, 150, NULL, 1),
    (22, 2, 2, 0, 'b on 2', printf('%064d', 22), 30, 150, NULL, 1),
    (23, 2, 1, 1, 'a on 2, again', printf('%064d', 23), 60, 300, NULL, 1),
    (31, 3, 1, 0, 'a on 3', printf('%064d', 31), 5, 25, NULL, 1),
    (32, 3, 2, 0, 'b on 3', printf('%064d', 32), 50, 250, NULL, 1),
    (33, 3, 3, 0, '', printf('%064d', 33), 0, 0, NULL, 1),
    (41, 4, 1, 0, 'a on 4', printf('%064d', 41), 30, 150, NULL, 1),
    (42, 4, 2, 0, 'b on 4', printf('%064d', 42), 100, 700, NULL, 1);
INSERT INTO pairs (id, model_a_id, model_b_id) VALUES (1, 1, 2), (2, 1, 3), (3, 2, 3);
INSERT INTO metrics (id, name, parameters, hash, model_id) VALUES
    (1, 'char-ngram', '{"n": [2, 4]}', printf('%064d', 801), NULL),
    (2, 'vectors', '{}', printf('%064d', 802), NULL);
INSERT INTO embeddings (id, metric_id, hash, dimensions, vector, truncated) VALUES
    (1, 2, printf('%064d', 11), 1, x'0000803F', 0);
INSERT INTO similarities (
    metric_id, pair_id, instruction_id, response_a_id, response_b_id, score, shorter_words, length_ratio, explanation, run_id)
VALUES
    (1, 1, 1, 11, 12, 0.2, 30, 1.333, NULL, 1),
    (1, 1, 2, 21, 22, 0.1, 30, 1.0, 'alike', 1),
    (1, 1, 2, 23, 22, 0.15, 30, 2.0, NULL, 1),
    (1, 1, 3, 31, 32, 0.3, 5, 10.0, NULL, 1),
    (1, 1, 4, 41, 42, 0.05, 30, 4.667, NULL, 1),
    (1, 2, 1, 11, 13, 0.4, 25, 1.2, NULL, 1),
    (1, 3, 1, 12, 13, 0.5, 25, 1.6, NULL, 1),
    (1, 2, 3, 31, 33, 0.0, 0, 0.0, NULL, 1);
INSERT INTO selection_sets (id, name, scenario, metric_id, strategy, top_k, min_words, max_length_ratio, candidates, seed, run_id) VALUES
    (1, 'pilot', NULL, 1, 'mad', 2, 20, 4.0, 'all', NULL, 3),
    (2, 'quoted', 'The "new" one', 1, 'random', 1, 0, 0.0, 'all', 7, NULL);
INSERT INTO selections (id, set_id, pair_id, rank, instruction_id, response_a_id, response_b_id, score, cost, run_id) VALUES
    (1, 1, 1, 1, 2, 21, 22, 0.1, 0.1, 3),
    (2, 1, 1, 2, 1, 11, 12, 0.2, 0.2, 3),
    (3, 1, 2, 1, 1, 11, 13, 0.4, 0.4, 3);
INSERT INTO annotators (id, name, kind) VALUES (1, 'ann', 'person'), (2, 'bob', 'person'), (3, 'gpt-judge', 'model'), (4, 'arena', 'person'),
    (5, 'mad-eval', 'person');  -- one person by that name, who judged here
INSERT INTO assignments (id, selection_id, annotator_id, repeat, shown_first, state, run_id, dealt_at, decided_at) VALUES
    (100001, 1, 1, 0, 'model_a', 'judged', 4, '2026-01-01T13:00:00.000000Z', '2026-01-01T13:01:00.000000Z'),
    (100002, 2, 1, 0, 'model_b', 'judged', 4, '2026-01-01T13:01:00.000000Z', '2026-01-01T13:02:00.000000Z'),
    (100003, 1, 1, 1, 'model_b', 'judged', 4, '2026-01-01T13:02:00.000000Z', '2026-01-01T13:03:00.000000Z'),
    (100004, 3, 1, 0, 'model_a', 'skipped', 4, '2026-01-01T13:03:00.000000Z', '2026-01-01T13:04:00.000000Z'),
    (100005, 1, 2, 0, 'model_a', 'undone', 4, '2026-01-01T13:00:00.000000Z', '2026-01-01T13:01:00.000000Z'),
    (100006, 1, 2, 0, 'model_a', 'judged', 4, '2026-01-01T13:02:00.000000Z', '2026-01-01T13:03:00.000000Z'),
    (100007, 2, 2, 0, 'model_a', 'open', 4, '2026-01-01T13:04:00.000000Z', NULL);
INSERT INTO judgments (
    id, annotator_id, response_a_id, response_b_id, winner, shown_first, seconds, comment, assignment_id, source, source_id,
    created_at, run_id)
VALUES
    -- The repeat was stored before the verdict that it repeats came in from a sheet: the number of the assignment counts.
    (1, 1, 21, 22, 'model_b', 'model_b', 20, NULL, 100003, 'page', 'item:100003', '2026-01-01T13:03:00Z', 4),
    (2, 1, 21, 22, 'model_a', 'model_a', 30, 'clearer', 100001, 'page', 'item:100001', '2026-01-01T13:01:00Z', 4),
    (3, 1, 11, 12, 'tie', 'model_b', NULL, NULL, 100002, 'page', 'item:100002', '2026-01-01T13:02:00Z', 4),
    (4, 1, 11, 12, 'model_b', NULL, NULL, NULL, NULL, 'sheet', '2', NULL, 4),
    (5, 2, 21, 22, 'model_b', 'model_a', 40, NULL, 100006, 'page', 'item:100006', '2026-01-01T13:03:00Z', 4),
    (6, 2, 23, 22, 'model_a', NULL, NULL, NULL, NULL, 'arena:battles.json', '1', NULL, 1),
    (7, 2, 41, 42, 'both_bad', NULL, NULL, NULL, NULL, 'arena:battles.json', '2', NULL, 1),
    (8, 3, 21, 22, 'model_b', NULL, NULL, NULL, NULL, 'judge', '1', NULL, 4),
    (9, 3, 11, 13, 'model_a', NULL, NULL, 'flipped', NULL, 'judge', '1', NULL, 4),
    -- two of many people under one name, and one more
    (10, 4, 41, 42, 'model_a', 'model_a', NULL, NULL, NULL, 'arena:battles.json', '3', NULL, 1),
    (11, 4, 41, 42, 'tie', 'model_a', NULL, NULL, NULL, 'arena:battles.json', '4', NULL, 1),
    (12, 4, 11, 12, 'model_b', 'model_b', NULL, NULL, NULL, 'arena:battles.json', '5', NULL, 1),
    -- a judge model's second verdict, and one of a person named like a default
    (13, 3, 11, 13, 'model_b', NULL, NULL, NULL, NULL, 'judgments:judge.csv', '2', NULL, 1),
    (14, 5, 31, 32, 'model_b', NULL, NULL, NULL, NULL, 'judgments:mine.csv', '1', NULL, 1);
INSERT INTO ratings (run_id, scenario, model_id, method, annotators, rating, lower, upper, rank, battles, component, remark) VALUES
    (5, 'overall', 1, 'elo', 'people', 1003, 990, 1010, 1, 7, 1, NULL),
    (5, 'overall', 2, 'elo', 'people', 997, 990, 1010, 1, 7, 1, NULL),
    (5, 'overall', 3, 'elo', 'people', 1000, 1000, 1000, 1, 1, 2, 'lost every battle');
