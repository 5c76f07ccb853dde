"""The parts of MAD selection: the set, the strategies, what a run reports. The stage `madetl.selections` calls them."""
