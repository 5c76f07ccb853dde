"""The one SQLite file: its tables and migrations, and the rows that more than one stage writes."""
