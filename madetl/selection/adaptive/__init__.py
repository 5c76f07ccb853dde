"""Which battles to ask for next, as people judge, and how many more it takes.

`pair_policies` says which pair of models to judge next, and `simulate` lets a policy choose against votes that are
known, or drawn, many replications at once, which `forecasts` does to count what is still needed: pure numpy. `grow` and
`advise` bring the votes, by way of `ranking.votes_so_far` and `ranking.posterior`.
"""
