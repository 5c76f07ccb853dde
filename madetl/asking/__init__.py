"""Asks models for everything that a stage wants to know, and never pays for an answer twice.

    ask         runs a stage's tasks         tasks        what is asked, and what came of it
    scheduler   what to do with each task    concurrent   many requests at once
    in_process  a model in this process      rate_limit   how fast; the waiting after a 429
    ledger      rows of `calls`              locks        which runs execute and which were killed
    budget      --max-cost                   estimate     the dry run
    prices      USD per million tokens       prompts/     the texts
    structured  answers that keep a schema   model_settings  how each model is asked

Imports point one way: ask → concurrent, in_process → scheduler → budget, rate_limit, locks → estimate, tasks → ledger.
"""
