"""The Space `digits`: recurrent nets that read and finish handwritten digits pixel by pixel."""

from hub_models import spacekit
from tabs import PITCH, TABS, TITLE

demo = spacekit.app(TITLE, PITCH, TABS)

if __name__ == "__main__":
    spacekit.launch(demo)
