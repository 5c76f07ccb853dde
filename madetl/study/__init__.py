"""A whole study, stage after stage: its file, its steps, what it would cost, and the demo."""
