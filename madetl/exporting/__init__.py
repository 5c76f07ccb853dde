"""Gives rows out as files: other projects' layouts, Parquet, sheets and tasks for people."""
