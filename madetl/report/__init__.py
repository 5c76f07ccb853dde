"""The report: rows of a study in, one self-contained HTML file out.

`rows` reads the database; each module of `sections` turns rows into the blocks of `content`; `plots` draw; `page` puts
it all into the templates. Only `rows` knows the database, and only `page` knows HTML. Needs the extra `report`; nothing
is imported here, so that the command line can say so.
"""
