"""All recipes, a file a family."""

from . import cifar10_cnn, cifar10_pixelrnn, mnist_pixelrnn, mnist_recurrent, shakespeare

RECIPES = {
    **cifar10_cnn.RECIPES,
    **mnist_pixelrnn.RECIPES,
    **cifar10_pixelrnn.RECIPES,
    **mnist_recurrent.RECIPES,
    **shakespeare.RECIPES,
}
