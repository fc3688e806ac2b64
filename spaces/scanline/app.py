"""Every tab of every theme in one app; a theme's own Space shows the same tabs."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from hub_models import public

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported: it then asks no other host
with public.without_proxies():  # gradio makes an HTTP client when it is imported
    import gradio as gr
    from starlette.middleware import Middleware

HERE = Path(__file__).resolve().parent


def load_tabs(folder: Path) -> tuple[ModuleType, ...]:
    """A theme's tabs in their order, its `tabs` a package of its own name: every theme has one called that."""
    spec = spec_from_file_location(f"{folder.parent.name}_tabs", folder / "__init__.py")
    package = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package.TABS


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
