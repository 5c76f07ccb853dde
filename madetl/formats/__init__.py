"""Reads and writes the files of other projects. Pure: records in, records out; never touches the database."""
