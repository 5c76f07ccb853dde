"""Stage 4: MAD selection. Reads `similarities`, writes `selections`; `select` is the stage, the rest are its parts."""
