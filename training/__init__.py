"""Recipes, data and the one way to train: `python -m training.train RECIPE`."""
