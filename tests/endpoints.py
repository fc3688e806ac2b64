"""What the app with all tabs offers to programs, and an example of each request."""

from pathlib import Path

from gradio_client import handle_file
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "spaces" / "examples"
DIGIT, PHOTO = EXAMPLES / "mnist" / "3.png", EXAMPLES / "cifar10" / "8-ship.png"
MASK = "mask.png"  # white in its lower half
ENDPOINTS: dict[str, list[str | Path]] = {  # name -> first arguments; all others have defaults
    "read_digit": [DIGIT],
    "complete_digit": [DIGIT, MASK],
    "sample": [],
    "complete": [PHOTO, MASK],
    "likelihood": [PHOTO],
    "receptive_field": ["pixelcnn-mnist"],
    "next_words": ["To be"],
    "write": ["To be"],
    "surprise": ["To be"],
    "classify": [PHOTO],
    "explain": [PHOTO],
}


def files(name: str, folder: Path) -> list[str | Path]:
    """The first arguments of a request, pictures as paths; the mask is written into the folder."""
    mask = Image.new("L", (28, 28))
    mask.paste(255, (0, 14, 28, 28))
    mask.save(folder / MASK)
    return [folder / MASK if value == MASK else value for value in ENDPOINTS[name]]


def arguments(name: str, folder: Path) -> list[object]:
    """The same, as `gradio_client` takes them."""
    return [handle_file(value) if isinstance(value, Path) else value for value in files(name, folder)]
