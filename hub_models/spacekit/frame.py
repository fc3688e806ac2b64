"""The frame of an app: its title, its tabs, its look, and its limits."""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ..environment import prepare_console, without_proxies
from . import guard, look, mcp
from .pictures import KEPT

VISITORS = 200  # whose last reading or picture is kept; Gradio holds a copy of the page for each, 0.6 MB of all tabs


def app(title: str, pitch: str, tabs: Sequence[ModuleType] | Mapping[str, ModuleType]) -> gr.Blocks:
    """Build a guarded app.

    Args:
        title: the heading of the page.
        pitch: one sentence on what a visitor can do here.
        tabs: modules with a `TITLE` and a function `build`, which makes the widgets of a tab and wires them. Or themes
            by name: modules with a `PITCH` and `TABS`.
    """
    with gr.Blocks(title=title, delete_cache=(KEPT, KEPT)) as demo:
        gr.HTML(look.heading(title, pitch))
        if isinstance(tabs, Mapping):
            for name, theme in tabs.items():
                with gr.Tab(name.capitalize()):
                    _build(theme.PITCH, theme.TABS)
        else:
            _build("", tabs)  # of which the pitch stands in the heading
    demo.pitch = pitch  # for link previews
    demo.queue(**guard.QUEUE)
    guard.guard(demo)
    return demo


def _build(pitch: str, tabs: Sequence[ModuleType]) -> None:
    """Make the tabs of a theme, and above them its pitch and links to its models."""
    gr.HTML(look.pitch(pitch, Path(tabs[0].__file__).parents[1] / "README.md"))
    for tab in tabs:
        with gr.Tab(tab.TITLE):
            tab.build()


def load_theme(folder: Path) -> ModuleType:
    """Load the package `tabs` of a theme's folder under a name of its own: every theme has one called that."""
    spec = spec_from_file_location(f"{folder.name}_tabs", folder / "tabs" / "__init__.py")
    package = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


def themes(folder: Path) -> dict[str, ModuleType]:
    """Load all themes beside the app in `folder`, as in the repository, or below it, as in a deployed Space."""
    folders = sorted(folder.glob("*/tabs")) or sorted(folder.parent.glob("*/tabs"))
    return {found.parent.name: load_theme(found.parent) for found in folders}


def options() -> dict:
    """Return how `gr.Blocks.launch` is called for each app."""
    return {
        "theme": look.THEME,
        "css": look.CSS,
        "js": look.NAME_WIDGETS,
        "favicon_path": look.ICON,
        "max_file_size": guard.MAX_FILE,
        "state_session_capacity": VISITORS,
        "mcp_server": mcp.is_installed(),
        "app_kwargs": {
            "middleware": [Middleware(guard.Civil)],
            "routes": [Mount(f"/{look.SERVED}", StaticFiles(directory=look.ASSETS))],
        },
        # The browser would keep each result of a public endpoint, and show it in a page of its own: a visitor's texts
        # and pictures would stay on a shared computer, and our tabs show their results anyway.
        "run_history": False,
        # what programs can ask for, where Gradio is from, and light, dark or another language
        "footer_links": ["api", "gradio", "settings"],
    }


def launch(demo: gr.Blocks) -> None:
    """Launch an app of `app`, and serve it until the process is stopped."""
    prepare_console()
    with without_proxies():
        demo.launch(prevent_thread_lock=True, **options())
    if not mcp.is_installed():
        print(mcp.OFF)
    demo.block_thread()  # with the proxies again, for the Hub
