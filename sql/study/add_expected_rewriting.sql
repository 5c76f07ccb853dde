-- Adds an instruction that stands for a rewriting which nobody has asked for yet: its parent's text, marked.
-- Changes: instructions. Parameters: :parent_id, :mark (makes the text one of its own), :hash.
INSERT INTO instructions (scenario, instruction, input, hash, parent_id, generation)
SELECT p.scenario, p.instruction || :mark, p.input, :hash, p.id, p.generation + 1
FROM instructions AS p
WHERE p.id = :parent_id;
