"""Measures how similar two responses are. Pure: texts in, scores out; never touches the database."""
