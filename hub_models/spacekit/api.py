"""Endpoints for programs: about ten of them, each a documented function of plain files, numbers and texts.

What the page itself does stays private. Files come in through components, which check them: an endpoint by `gr.api`
would open any path that a program names.
"""

from collections.abc import Callable, Sequence

import gradio as gr
from gradio.utils import get_function_description

from .checks import SEEDS
from .pictures import as_path


def endpoint(function: Callable, inputs: Sequence[gr.components.Component], outputs: Sequence | gr.Image) -> None:
    """Offer a function to programs, under its own name and with its docstring, inside a `gr.Blocks`.

    Args:
        function: its docstring describes each argument in one line of `Args:`, and the results in `Returns:`.
        inputs: components in the order of the arguments, with labels, bounds and defaults. Pictures come as
            `picture_file`; no component may take an object.
        outputs: components with labels; pictures as PNG.
    """
    description, arguments, returns = get_function_description(function)
    with gr.Column(visible=False):
        for component in (*inputs, *(outputs if isinstance(outputs, Sequence) else (outputs,))):
            if not component.is_rendered:
                component.render()
        for component, text in zip(inputs, arguments.values(), strict=True):
            _describe(component, text)
        words = f"{description} Returns: {' '.join(returns)}"
        gr.Button().click(function, list(inputs), outputs, api_name=function.__name__, api_description=words)


def _describe(component: gr.components.Component, text: str) -> None:
    """Add a description and bounds to what programs are shown of a component."""
    bounds = {name: getattr(component, name, None) for name in ("minimum", "maximum")}
    schema = component.api_info_as_input() | {name: bound for name, bound in bounds.items() if bound is not None}
    schema["additional_description"] = text
    component.api_info_as_input = lambda: schema


def picture_file(label: str) -> gr.Image:
    """Make the component for a picture file that a program sends; its value is a path."""
    picture = gr.Image(label=label, type="filepath", render=False)
    as_path(picture)
    return picture


def seed_number() -> gr.Number:
    """Make the component for the seed that a program sends."""
    return gr.Number(0, precision=0, minimum=0, maximum=SEEDS - 1, label="Random seed", render=False)


def temperature_number(value: float = 1, low: float = 0, high: float = 2) -> gr.Number:
    """Make the component for the temperature that a program sends."""
    return gr.Number(value, minimum=low, maximum=high, label="Temperature", render=False)
