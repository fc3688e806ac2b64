"""Every tab of every theme in one app; a theme's own Space shows the same tabs."""

from pathlib import Path

from hub_models import spacekit

TITLE = "Scanline"
PITCH = "Small neural networks that you can watch at work: they read, draw, finish and write, one step at a time."
themes = spacekit.themes(Path(__file__).resolve().parent)
demo = spacekit.app(TITLE, PITCH, themes)

if __name__ == "__main__":
    spacekit.launch(demo)
