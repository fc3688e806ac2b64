"""The Space `text`: recurrent language models of Shakespeare that complete, write and score texts."""

from hub_models import spacekit
from tabs import PITCH, TABS, TITLE

demo = spacekit.app(TITLE, PITCH, TABS)

if __name__ == "__main__":
    spacekit.launch(demo)
