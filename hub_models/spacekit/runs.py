"""A button that runs long work, and one that cancels it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from .checks import SEEDS

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
CANCEL_AFTER = 500  # milliseconds: before the server has answered, Gradio cannot cancel
# A run is begun and ended in the browser, so that a second click does nothing from the first moment on. Gradio runs
# neither `success` nor `failure` of what throws; of work that fails it runs `failure`, of work that is cancelled, too.
BEGIN = """() => {{
    const runs = (window.runs ??= new Set());
    if (runs.has({key})) throw 0;
    runs.add({key});
    window.old?.delete({key});
    return {{__type__: "update", value: {busy}, interactive: false}};
}}"""
ALLOW_CANCEL = """async () => {{
    await new Promise(resolve => setTimeout(resolve, {after}));
    return {{__type__: "update", interactive: window.runs.has({key})}};
}}"""
END = """() => {{
    window.runs.delete({key});
    return [{{__type__: "update", value: {idle}, interactive: true}}, {{__type__: "update", interactive: false}}];
}}"""
DRAW_SEED = f"(fresh, seed) => fresh ? Math.floor(Math.random() * {SEEDS}) : seed"


class Seed(NamedTuple):
    """The widgets for a seed."""

    number: gr.Number
    fresh: gr.Checkbox


def seed_input() -> Seed:
    """Make the widgets for a seed: its number, and whether each run draws a new one."""
    with gr.Group():
        label = "Random seed (same seed, same result)"
        number = gr.Number(0, minimum=0, maximum=SEEDS - 1, precision=0, label=label)
        return Seed(number, gr.Checkbox(False, label="New seed each time", container=False))


class RunButton:
    """A button that starts a handler, says so and is disabled while it runs; beside it, one that cancels it."""

    def __init__(self, label: str, busy: str):
        self.label, self.busy = label, busy
        with gr.Row():
            self.start = gr.Button(label, variant="primary")
            self.cancel = gr.Button("Cancel", variant="stop", interactive=False)

    def on_click(self, handler: Callable, inputs: Sequence, outputs: Sequence, seed: Seed | None = None) -> Dependency:
        """Run a handler, which may yield its results as they come about.

        Args:
            handler: what the page runs; programs use an endpoint of `spacekit.api`.
            inputs: widgets; among them, with `seed`, its number.
            outputs: widgets.
            seed: a new one is drawn before the handler starts, if the visitor wants that.

        Returns:
            The run, for `cancel_when` and `clear_when`.
        """
        words = {"key": self.start._id, "busy": repr(self.busy), "idle": repr(self.label), "after": CANCEL_AFTER}
        begun = self.start.click(None, None, self.start, js=BEGIN.format(**words), **QUIET)
        begun.then(None, None, self.cancel, js=ALLOW_CANCEL.format(**words), **QUIET)
        if seed:
            begun = begun.then(None, [seed.fresh, seed.number], seed.number, js=DRAW_SEED, **QUIET)
        work = begun.then(handler, inputs, outputs, **QUIET)
        for over in (work.success, work.failure):
            over(None, None, [self.start, self.cancel], js=END.format(**words), **QUIET)
        self.cancel.click(None, cancels=[work], **QUIET)
        work.key = self.start._id
        return work


def cancel_when(events: Sequence, work: Dependency) -> None:
    """Cancel a run on events that make it useless: a new picture, another model.

    Call it before the handlers of these events are attached: they empty the results, and nothing may come after.
    """
    gr.on(list(events), None, None, cancels=[work], **QUIET)
