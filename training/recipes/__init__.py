"""All recipes, a file a family."""

from . import mnist_recurrent

RECIPES = {**mnist_recurrent.RECIPES}
