"""The report: rows of a study in, one self-contained HTML file out.

`rows` reads the database; each section is a module with one function `section(study)` that turns rows into the blocks
of `content`; `svg` and the `plots_*` modules draw; `page` puts it all into the templates. Only `rows` and
`agreement_figures` know the database, and only `page` knows HTML. Needs the extra `report`; nothing is imported here,
so that the command line can say so.
"""
