"""Asks models. Pure of the store: requests in, answers or typed errors out; never touches the database.

`base` says what a request, an answer and an error are; one module per provider follows it. `open_provider` picks one.
"""
