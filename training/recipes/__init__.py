"""All recipes, a file a family."""

from . import cifar10_cnn, mnist_pixelrnn, mnist_recurrent

RECIPES = {**cifar10_cnn.RECIPES, **mnist_pixelrnn.RECIPES, **mnist_recurrent.RECIPES}
