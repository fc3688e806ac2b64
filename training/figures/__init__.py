"""Pictures of runs: their curves, what their models draw, and several runs together."""
