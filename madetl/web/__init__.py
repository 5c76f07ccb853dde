"""The page on which people judge: a small Flask application, its templates, one style sheet and one script.

Requests come in, pages go out; what a verdict means is annotation's matter, who gets what is dealing's. Needs the extra
`web`; imported by `madetl annotate` alone.
"""
