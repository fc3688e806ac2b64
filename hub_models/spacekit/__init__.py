"""What every Space shares: the frame of an app, its look and widgets, checks of what visitors send, and streaming.

This is the one part of `hub_models` that imports Gradio; `pip install "scanline[demo]"` brings it.
"""

import os

from ..environment import without_proxies

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported: it then asks no other host
with without_proxies():  # gradio makes an HTTP client when it is imported
    import gradio  # noqa: F401

from .frame import app, launch, load_theme, themes

__all__ = ["app", "launch", "load_theme", "themes"]
