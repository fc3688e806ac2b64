"""Endpoints for programs: about ten of them, each a documented function of plain files, numbers and texts.

What the page itself does stays private. Files come in through components, which check them: an endpoint by `gr.api`
would open any path that a program names.
"""

from collections.abc import Callable, Sequence

import gradio as gr


def endpoint(function: Callable, inputs: Sequence[gr.components.Component], outputs: Sequence | gr.Image) -> None:
    """Offer a function to programs, under its own name and with its docstring, inside a `gr.Blocks`.

    Args:
        function: its arguments are a visitor's; its docstring tells programs what they are, a line each, and what comes
            back.
        inputs: components in the order of the arguments, with labels, bounds and defaults. Pictures come as
            `picture_file`; no component may take an object.
        outputs: components with labels; pictures as PNG.
    """
    with gr.Column(visible=False):
        for component in (*inputs, *(outputs if isinstance(outputs, Sequence) else (outputs,))):
            if not component.is_rendered:
                component.render()
        gr.Button().click(function, list(inputs), outputs, api_name=function.__name__)


def picture_file(label: str) -> gr.Image:
    """Make the component for a picture file that a program sends; its value is a path."""
    picture = gr.Image(label=label, type="filepath", render=False)
    # Gradio would open the file with any of Pillow's readers, and tell nothing of a damaged one
    picture.preprocess = lambda file: file and file.path
    return picture
