-- Returns battles in the columns of Arena's Parquet files, the texts in a struct as MAD-Eval's files have them.
-- Grain: one row per row of `exported`, the table that the battles were written to on their way to Parquet.
SELECT
    model_a,
    model_b,
    winner,
    judge,
    turn,
    anony = 1 AS anony,
    "language",
    tstamp,
    source,
    scenario,
    comment,
    {
        'instruction': instruction,
        'input': "input",
        'output': "output",
        'response_1': response_1,
        'response_2': response_2,
        'reference_answer': reference_answer,
        'score': score,
        'explanation': explanation
    } AS data
FROM exported
