"""The look of an app: colours, fonts, the heading, and what links to the app show. Nothing comes from another host."""

import html
import re
from pathlib import Path

import gradio as gr
from gradio.routes import templates
from gradio.themes.utils.colors import Color
from gradio.themes.utils.fonts import LocalFont
from huggingface_hub import metadata_load
from jinja2 import FunctionLoader

ASSETS = Path(__file__).with_name("assets")
ICON, PREVIEW = ASSETS / "icon.svg", ASSETS / "preview.png"
SERVED = "look"  # the path below which an app serves ASSETS

PETROL = Color(
    *("#eef9f6", "#d3f0e8", "#a8e0d3", "#74cabb", "#42ae9e", "#239083", "#14756b", "#135e57", "#124b47", "#0f3d3a"),
    "#062321",
    name="petrol",
)
AMBER = Color(
    *("#fff9eb", "#ffefc6", "#ffdf8c", "#ffc952", "#ffb63d", "#f59508", "#d96f04", "#b44d07", "#923b0d", "#78310e"),
    "#451703",
    name="amber",
)
STONE = Color(
    *("#f6f8f6", "#edf0ed", "#dde2de", "#c3cbc6", "#929d97", "#67736d", "#4d5853", "#39433f", "#222b28", "#161d1b"),
    "#0d1312",
    name="stone",
)
THEME = gr.themes.Base(
    primary_hue=PETROL,
    secondary_hue=AMBER,
    neutral_hue=STONE,
    radius_size="sm",
    # of the fonts that Gradio brings, some lack the Latin letters: these have them, in these weights
    font=[LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="*neutral_900",
    body_text_color_dark="*neutral_100",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    background_fill_primary="white",
    background_fill_primary_dark="*neutral_900",
    background_fill_secondary="*neutral_100",
    background_fill_secondary_dark="*neutral_800",
    border_color_primary="*neutral_200",
    border_color_primary_dark="*neutral_700",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    block_shadow="none",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_label_shadow="none",
    block_label_margin="0px",
    block_label_padding="*spacing_md *spacing_lg 0",
    block_label_text_color="*neutral_700",
    block_label_text_color_dark="*neutral_300",
    block_label_text_size="*text_md",
    block_label_text_weight="600",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_300",
    block_title_text_weight="600",
    link_text_color="*primary_600",
    link_text_color_dark="*primary_300",
    link_text_color_hover="*primary_800",
    link_text_color_hover_dark="*primary_200",
    link_text_color_visited="*primary_600",
    link_text_color_visited_dark="*primary_300",
    link_text_color_active="*primary_600",
    link_text_color_active_dark="*primary_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_400",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_300",
    button_primary_text_color="white",
    button_primary_text_color_dark="*neutral_950",
    button_secondary_background_fill="white",
    button_secondary_background_fill_dark="*neutral_800",
    button_secondary_background_fill_hover="*primary_50",
    button_secondary_background_fill_hover_dark="*neutral_700",
    button_secondary_border_color="*neutral_300",
    button_secondary_border_color_dark="*neutral_600",
    button_border_width="1px",
    button_large_text_weight="600",
    checkbox_background_color_selected="*primary_600",
    checkbox_border_color_selected="*primary_600",
    checkbox_label_background_fill="*neutral_50",
    checkbox_label_background_fill_dark="*neutral_800",
    checkbox_label_background_fill_selected="*primary_50",
    checkbox_label_background_fill_selected_dark="*primary_900",
    input_background_fill="*neutral_50",
    input_background_fill_dark="*neutral_950",
    input_border_color="*neutral_300",
    input_border_color_dark="*neutral_700",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
    loader_color="*primary_600",
    loader_color_dark="*primary_400",
)
ANSWER_FIRST = "answer-first"  # class of a row of columns, of which a phone shows the part of class "answer" first
# Gradio scopes its own rules by a class: ours begin with another, so that they win. It puts that class before rules in
# @media by itself.
CSS = """
.gradio-container .main.fillable.app { max-width: 1360px; }
.gradio-container :is(h1, h2, h3, [role=tab], button.lg) { font-family: var(--font-mono); }
.gradio-container :is(button, input, textarea, summary, a, [tabindex]):focus-visible {
    outline: 2px solid var(--secondary-500); outline-offset: 2px;
}
.gradio-container .html-container:has(> .prose > :is(.masthead, .pitch, .chip)) { padding: 0; }
.masthead { display: flex; gap: 1rem; align-items: center; padding-bottom: 1rem; }
.masthead { border-bottom: 4px dotted var(--secondary-400); }
.masthead img { width: clamp(48px, 7vw, 72px); flex: none; border-radius: 6px; }
.masthead h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; }
.masthead p { margin: 0; font-size: 1.1rem; line-height: 1.35; color: var(--body-text-color-subdued); }
.gradio-container .block.about { padding: 0; }
.gradio-container .about p { max-width: 60rem; }
.gradio-container .tabs .tabs [role=tab] { font-family: var(--font); font-size: var(--text-md); }
.gradio-container [role=tab] { font-weight: 700; font-size: var(--text-lg); }
.gradio-container [role=tab].selected { color: var(--body-text-color); }
.gradio-container [role=tab].selected::after { height: 3px; background: var(--secondary-400); }
.pitch { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1.5rem; }
.pitch p { margin: 0; }
.pitch summary { cursor: pointer; color: var(--link-text-color); }
.pitch ul { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin: 0; padding: 0; list-style: none; }
.pitch :is(li, a) { margin: 0; padding: 0; font-family: var(--font-mono); font-size: var(--text-sm); }
.chip { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .25rem .75rem .5rem; font-size: var(--text-sm); }
.chip a { margin: 0; padding: 0; }
.gradio-container .block:has(.chip) { background: var(--block-background-fill); }
.gradio-container .block :is(.image-frame, .thumbnail-item, .gallery-item, .table) img { image-rendering: pixelated; }
.gradio-container .gallery-item .container.gallery { width: 44px; height: 44px; }
.gradio-container .upload-container img { width: 100%; height: 240px; object-fit: contain; }
.gradio-container .block.smooth .image-frame img { image-rendering: auto; }
.gradio-container .block label.float:not(.sr-only) { position: static; }
.gradio-container .block:has(canvas) > label.float:not(.sr-only) {
    position: relative; z-index: var(--layer-top); pointer-events: none;
}
.gradio-container .block :is([data-testid=block-label] > span, .label > svg) { display: none; }
.gradio-container .block:not(.hide-container) { border-width: var(--block-border-width); }
.gradio-container .column:has(> .caption) { gap: var(--spacing-md); }
.caption p { font-weight: 700; color: var(--block-label-text-color); }
.dark input[type=range] { --neutral-200: var(--neutral-700); }
.gradio-container .thumbnail-lg {
    display: flex; flex-direction: column; aspect-ratio: auto; height: auto; border: 0; background: none;
    box-shadow: none;
}
.gradio-container .thumbnail-lg .caption-label {
    position: static; max-width: 100%; white-space: normal; border: 0; background: none; padding: .25rem 0;
}
.gradio-container :is(textarea, .gallery-item) { unicode-bidi: plaintext; text-align: start; }
.gradio-container .grid-wrap { overflow-y: auto; max-height: none; min-height: 0; }
@media (max-width: 640px) {
    .grid-container { grid-template-columns: repeat(2, 1fr); }
    .answer-first > .column { display: contents; }
    .answer-first > .column > * { flex: 1 1 100%; }
    .answer-first > .column > .answer { order: -1; }
}
"""
# Gradio leaves the alternative text of most pictures empty: ours is the widget's label, of an example also its number.
# A text box with a button to copy it has no name either, since its label is the button's.
NAME_WIDGETS = """() => {
    const label = e => e.querySelector("[data-testid^=block-], .label")?.textContent.trim() ?? "";
    const name = () => {
        for (const img of document.querySelectorAll(".block img[alt='']:not(.masthead img)")) {
            const block = img.closest(".block"), examples = [...block.querySelectorAll("button.gallery-item img")];
            const number = examples.indexOf(img) + 1;
            img.alt = label(block) + (number ? `, ${number} of ${examples.length}` : "");
        }
        for (const area of document.querySelectorAll(".block textarea"))
            if (!area.labels.length) area.ariaLabel = label(area.closest(".block"));
    };
    new MutationObserver(name).observe(document.body, {childList: true, characterData: true, subtree: true});
    name();
}"""
# The tags are in the page as it is served: what makes link previews runs no scripts, by which Gradio's `head` comes.
TAGS = f"""<meta charset="utf-8" />
<title>{{{{ config.title }}}}</title>
<meta name="description" content="{{{{ request.app.get_blocks().pitch }}}}" />
<meta property="og:type" content="website" />
<meta property="og:title" content="{{{{ config.title }}}}" />
<meta property="og:description" content="{{{{ request.app.get_blocks().pitch }}}}" />
<meta property="og:image" content="{{{{ config.root }}}}/{SERVED}/{PREVIEW.name}" />
<meta property="og:image:width" content="1200" />
<meta property="og:image:height" content="630" />
<meta name="twitter:card" content="summary_large_image" />
<link rel="icon" type="image/svg+xml" href="{{{{ config.root }}}}/{SERVED}/{ICON.name}" />
"""


def _put_tags() -> None:
    """Put our tags in the place of Gradio's, whose picture is on another host."""
    env, loader = templates.env, templates.env.loader

    def load(name: str) -> tuple:
        source, *rest = loader.get_source(env, name)
        source = re.sub(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>', "", source)
        return source.replace('<meta charset="utf-8" />', TAGS, 1), *rest

    env.loader = FunctionLoader(load)


_put_tags()


def heading(title: str, pitch: str) -> str:
    """Return the HTML of a page's heading."""
    icon = f'<img src="{SERVED}/{ICON.name}" alt="" />'
    words = f"<h1>{html.escape(title)}</h1><p>{html.escape(pitch)}</p>"
    return f'<header class="masthead">{icon}<div>{words}</div></header>'


def pitch(words: str, header: Path) -> str:
    """Return the HTML of a theme's pitch, and links to the models that its README names."""
    names = metadata_load(header)["models"]
    links = [
        f'<li><a href="https://huggingface.co/{html.escape(name)}" target="_blank" rel="noopener">'
        f"{html.escape(name.partition('/')[2])}</a></li>"
        for name in names
    ]
    told = f"<p>{html.escape(words)}</p>" if words else ""
    models = f"<details><summary>{len(names)} models</summary><ul>{''.join(links)}</ul></details>"
    return f'<div class="pitch">{told}{models}</div>'
