"""Stage 2: inference. Reads `instructions`, writes `responses`."""
