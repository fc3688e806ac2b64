"""The Space `vision`: convolutional nets that say what a picture shows, and how they come to it."""

from hub_models import spacekit
from tabs import PITCH, TABS, TITLE

demo = spacekit.app(TITLE, PITCH, TABS)

if __name__ == "__main__":
    spacekit.launch(demo)
