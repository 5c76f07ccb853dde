"""Stage 5: judgment. Reads `selections`, writes `assignments` and `judgments`, and says how well annotators agree."""
