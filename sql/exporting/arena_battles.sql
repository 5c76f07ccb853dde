-- Returns the battles as Chatbot Arena's data sets have them: who gave which answer, in the order shown.
-- Grain: one row per vote.
-- Parameters: :scenarios, :selections, :kind, :names, :without as in ranking/counted_votes.sql.
-- Source: the columns of lmsys/chatbot_arena_conversations.
SELECT
    b.model_a,
    b.model_b,
    -- Arena's own spelling of the fourth outcome.
    CASE b.winner WHEN 'both_bad' THEN 'tie (bothbad)' ELSE b.winner END AS winner,
    b.winner_model,
    b.annotator AS judge,
    b.tstamp,
    b.scenario,
    b.comment,
    i.instruction,
    i.input,
    i.reference_answer,
    b.response_a AS response_1,
    b.response_b AS response_2
FROM battles AS b
JOIN instructions AS i ON i.id = b.instruction_id
WHERE b.judgment_id IN (
    SELECT judgment_id
    FROM (
        -- include ranking/counted_votes
    ))
ORDER BY b.judgment_id;
