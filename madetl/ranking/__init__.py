"""Turns votes into leaderboards. Pure: arrays in, rows out; never touches the database (`madetl.ranking.rank` does)."""
