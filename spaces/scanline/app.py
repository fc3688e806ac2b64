"""Every tab of every theme in one app; a theme's own Space shows the same tabs."""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported: it then asks no other host

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from hub_models import public  # noqa: E402

HERE = Path(__file__).resolve().parent


def load_tabs(folder: Path) -> list[ModuleType]:
    """The modules of a theme's `tabs` folder, as a package of its own name: every theme has a folder called that."""
    package = ModuleType(f"{folder.parent.name}_tabs")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    return [importlib.import_module(f"{package.__name__}.{path.stem}") for path in sorted(folder.glob("[!_]*.py"))]


# in the repository the themes lie beside this app, in a deployed Space below it
folders = sorted(HERE.glob("*/tabs")) or sorted(HERE.parent.glob("*/tabs"))
themes = {folder.parent.name: load_tabs(folder) for folder in folders}

with gr.Blocks(title="Scanline", delete_cache=(3600, 3600)) as demo:
    gr.Markdown("# Scanline")
    for theme, tabs in themes.items():
        with gr.Tab(theme.capitalize()):
            for tab in tabs:
                with gr.Tab(tab.TITLE):
                    tab.build()
demo.queue(**public.QUEUE)
public.guard(demo, gr.Error)

if __name__ == "__main__":
    public.launch(demo, Middleware)
