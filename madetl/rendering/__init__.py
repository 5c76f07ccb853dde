"""Markdown and code to safe HTML, for pages and report alike. Pure: text in, HTML out."""
