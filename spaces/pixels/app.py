"""The Space `pixels`: autoregressive image models that draw, complete and score images, pixel by pixel."""

import os

from hub_models import public

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported: it then asks no other host
with public.without_proxies():  # gradio makes an HTTP client when it is imported
    import gradio as gr
    from starlette.middleware import Middleware
from tabs import TABS  # noqa: E402

with gr.Blocks(title="Scanline pixels", delete_cache=(3600, 3600)) as demo:
    gr.Markdown("# Images, pixel by pixel")
    for tab in TABS:
        with gr.Tab(tab.TITLE):
            tab.build()
demo.queue(**public.QUEUE)
public.guard(demo, gr.Error)

if __name__ == "__main__":
    public.launch(demo, Middleware)
