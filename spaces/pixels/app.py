"""The Space `pixels`: autoregressive image models that draw, complete and score images, pixel by pixel."""

from hub_models import spacekit
from tabs import PITCH, TABS, TITLE

demo = spacekit.app(TITLE, PITCH, TABS)

if __name__ == "__main__":
    spacekit.launch(demo)
