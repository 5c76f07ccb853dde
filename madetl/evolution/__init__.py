"""Stage 1: instruction evolution. Reads `instructions`, writes `instructions` (children of their seeds)."""
