-- How often two annotators said the same about the same two answers; crowds apart.
-- Grain: one row per two annotators with a response pair in common.
-- Parameters: :scenario (NULL: all of them together).
SELECT annotator_a, kind_a, annotator_b, kind_b, response_pairs, agreed, agreement
FROM agreement
WHERE scenario = ifnull(:scenario, 'overall')
ORDER BY kind_a DESC, kind_b DESC, annotator_a, annotator_b;
