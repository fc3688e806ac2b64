"""What a tab shows before the first click: results of the shipped weights, kept in `spaces/THEME/start`.

A tab whose results take longer than half a second has a function `start`, which computes the values of its result
widgets, and `STARTS_FROM`, the checkpoints that `start` uses. `python spaces/start.py` writes them, `load_start` reads
them when the app is built.
"""

import hashlib
import io
from pathlib import Path
from types import ModuleType
from typing import Any

from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ..checkpoints import PRETRAINED
from ..files import fingerprint, read_json, write_bytes, write_json
from ..run_folder import WEIGHTS


def file_of(tab: str | Path) -> Path:
    """Return where the start of a tab is kept, by the tab's own file."""
    return Path(tab).parents[1] / "start" / f"{Path(tab).stem}.json"


def load_start(tab: str | Path) -> list[Any]:
    """Read the values of a tab's result widgets; pictures as paths in Gradio's cache.

    Args:
        tab: the tab's own `__file__`.

    Raises:
        FileNotFoundError: they have not been made.
    """
    file = file_of(tab)
    if not file.is_file():
        raise FileNotFoundError(f"{file.name} of the start results is not there: run python spaces/start.py")

    def unpacked(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"picture"}:
            return save_file_to_cache(file.parent / value["picture"], get_upload_folder())
        if isinstance(value, dict):
            return {key: unpacked(part) for key, part in value.items()}
        return [unpacked(part) for part in value] if isinstance(value, list) else value

    return unpacked(read_json(file)["values"])


def save_start(tab: ModuleType) -> Path:
    """Compute the start of a tab and keep it, its pictures as lossless WebP; return the file.

    Pictures are named by what is in them, and the file that names them is written last: whenever writing breaks off,
    the folder holds the whole start of before or the whole new one.
    """
    file, pictures = file_of(tab.__file__), {}

    def packed(value: Any) -> Any:
        if isinstance(value, str) and Path(value).suffix in (".png", ".webp") and Path(value).is_file():
            with Image.open(value) as picture, io.BytesIO() as data:
                several = getattr(picture, "is_animated", False)
                picture.save(data, "WEBP", lossless=True, quality=100, method=6, save_all=several)
                name = f"{file.stem}-{hashlib.sha256(data.getvalue()).hexdigest()[:8]}.webp"
                pictures[name] = data.getvalue()
            return {"picture": name}
        if isinstance(value, dict):
            return {str(key): packed(part) for key, part in value.items()}
        return [packed(part) for part in value] if isinstance(value, list | tuple) else value

    weights = {name: fingerprint(PRETRAINED / name / WEIGHTS) for name in tab.STARTS_FROM}
    start = {"weights": weights, "values": packed(tab.start())}
    file.parent.mkdir(exist_ok=True)
    for name, data in pictures.items():
        write_bytes(file.with_name(name), data)
    write_json(file, start)
    for old in file.parent.glob(f"{file.stem}-*"):
        if old.name not in pictures:
            old.unlink()
    return file
