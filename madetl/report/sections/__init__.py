"""The sections of the report: each a module with one function `section(data)`, rows in, blocks of `content` out."""
