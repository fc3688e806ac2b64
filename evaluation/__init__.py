"""Metrics as pure functions, and the commands that measure a checkpoint with them."""
