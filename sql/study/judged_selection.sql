-- How far people have come with what was selected.
-- Grain: one row for all selections together.
SELECT
    (SELECT count(*) FROM selected_pairs) AS selected,
    (SELECT count(*) FROM selected_pairs WHERE judgments > 0) AS judged,
    (SELECT count(*) FROM votes) AS judgments,
    (SELECT count(DISTINCT annotator_id) FROM votes) AS annotators;
