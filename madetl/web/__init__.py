"""The page on which people judge: a small Flask application, its templates, one style sheet and one script.

Requests come in, pages go out. `madetl.judgment.annotate` stores verdicts, `madetl.judgment.assign` says who gets which
pair. Needs the extra `web`; imported by `madetl annotate` alone.
"""
