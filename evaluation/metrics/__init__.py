"""Metrics as pure functions: of scores and images, of text, a language model to compare with, corruptions."""
