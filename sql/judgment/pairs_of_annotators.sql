-- How far two annotators agree who judged the same response pairs.
-- Grain: one row per scenario ('overall' for all) and two annotators, as in the view agreement.
-- Parameters: :scenario (NULL: all).
SELECT scenario, annotator_a, kind_a, annotator_b, kind_b, response_pairs, agreed, agreement, kappa, kappa_unordered
FROM agreement
WHERE :scenario IS NULL OR scenario = :scenario
ORDER BY
    scenario <> 'overall', scenario, kind_a = kind_b DESC, kind_a DESC, response_pairs DESC, annotator_a, annotator_b;
