"""The plots of the report: numbers in, SVG out. `models` and `series` draw, `svg` has what they share."""
