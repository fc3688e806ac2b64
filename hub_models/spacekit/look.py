"""The look of an app: colours, fonts, the heading and the footer. Nothing here is fetched from another host."""

import html

import gradio as gr

REPOSITORY = "https://github.com/scanline/scanline"
FOOTER = "<footer></footer>"
OPTIONS: dict = {"theme": gr.themes.Soft()}


def heading(title: str, pitch: str) -> str:
    """Return the HTML of a page's heading."""
    return f"<h1>{html.escape(title)}</h1><p>{html.escape(pitch)}</p>"
