"""Which battles to ask for next, how sure the order is, and what a way of choosing is worth. Pure numpy.

`posterior` says what the votes so far say of the models' strengths, `pair_policies` which pair of models to judge next,
and `play` lets a policy choose against votes that are known, or drawn, many replications at once. Nothing here knows a
database: `selection.adaptive`, `replay` and `advice` bring the votes.
"""
