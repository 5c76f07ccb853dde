-- The instructions that a stage works on: the one definition, which the queries that answer, compare, select or count
-- them include. `evolved` are the rewritings of all rounds, `seeds` what they were written from, or what was imported.
-- Grain: one row per instruction.
-- Parameters: :scenarios (JSON array of names; NULL: all), :generation ('evolved', 'seeds', 'all', one generation's
--   number, or a JSON object that says for a scenario which of these; NULL, and a scenario that the object lacks: as in
--   the view pool, which takes rewritings where there are any).
SELECT i.id, i.scenario, i.generation, i.instruction, i.input, i.hash
FROM instructions AS i
WHERE (:scenarios IS NULL OR i.scenario IN (SELECT value FROM json_each(:scenarios)))
    AND CAST(coalesce(
        (SELECT word.value FROM json_each(iif(:generation LIKE '{%', :generation, '{}')) AS word
         WHERE word.key = i.scenario),
        iif(:generation LIKE '{%', NULL, :generation),
        'default'
    ) AS TEXT) IN (
        'all',
        iif(i.generation = 0, 'seeds', 'evolved'),
        CAST(i.generation AS TEXT),
        (SELECT 'default' FROM pool AS p WHERE p.id = i.id)
    );
