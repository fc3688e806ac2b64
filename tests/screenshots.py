"""`python tests/screenshots.py`: make the README's pictures of the app, and the one that links to the app show.

The app runs with the weights that ship. What chooses the pictures stands here, so look at them before you commit them.
"""

import base64
import io
import runpy
import types
from pathlib import Path

from PIL import Image
from test_browser import Page, chromium
from test_spaces import ROOT, SPACES, served, wait_for

from hub_models.files import read_json, write_bytes
from hub_models.spacekit import look

TABS = {"digits": "classify", "pixels": "sample", "text": "surprise", "vision": "look_inside"}  # the one that is shown
LOADED = "return [...document.images].every(image => image.complete) && document.fonts.status === 'loaded'"
PREVIEW = """<style>
    #preview {{ position: fixed; inset: 0; z-index: 9; padding: 50px; display: flex; gap: 50px; align-items: center;
        background: #0c2b29; color: #f3f7f4; font: 30px/1.3 'Source Sans Pro'; }}
    #preview h1 {{ font: bold 72px/1.4 'IBM Plex Mono'; margin: 0; }}
    #preview > div {{ flex: none; width: 540px; }}
    #preview .samples {{ display: grid; grid-template-columns: repeat(3, 160px); gap: 10px; width: 500px; }}
    #preview .samples img {{ width: 160px; image-rendering: pixelated; }}
    #preview hr {{ grid-column: span 3; width: 100%; margin: 0; border: 0; border-top: 6px solid #ffb63d; }}
    #preview hr ~ img {{ opacity: .3; }}
</style>
<div id="preview">
    <div><img src="{icon}" width="120" /><h1>Scanline</h1>{pitch}</div>
    <div class="samples">{above}<hr />{below}</div>
</div>"""


def as_address(path: Path, kind: str) -> str:
    """Put a picture file into an address."""
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def screenshot(page: Page, width: int, height: int) -> Image.Image:
    """Look at the page in that size, once its pictures and fonts are there."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.driver.execute_script("window.scrollTo(0, 0)")
    wait_for(lambda: page.driver.execute_script(LOADED))
    return Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")


def show_preview(page: Page, pitch: str) -> None:
    """Lay the picture for links over the page, of nine samples that the tab Sample starts with."""
    start = SPACES / "pixels" / "start"
    pictures, _ = read_json(start / "sample.json")["values"]
    samples = [f'<img src="{as_address(start / picture["picture"], "webp")}" />' for picture, _ in pictures[:9]]
    parts = {"icon": as_address(look.ICON, "svg+xml"), "above": "".join(samples[:6]), "below": "".join(samples[6:])}
    page.driver.execute_script("document.body.innerHTML = arguments[0]", PREVIEW.format(pitch=pitch, **parts))


def save(picture: Image.Image, path: Path, **options) -> None:
    """Write a picture and say how large it is."""
    with io.BytesIO() as data:
        picture.save(data, path.suffix[1:], **options)
        write_bytes(path, data.getvalue())
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes", flush=True)


def main() -> None:
    """The command."""
    app = types.SimpleNamespace(**runpy.run_path(str(SPACES / "scanline" / "app.py")))
    driver = chromium("--hide-scrollbars")
    try:
        with served(app) as url:
            page = Page(driver, url)
            for theme, name in TABS.items():
                tab = next(tab for tab in app.themes[theme].TABS if tab.__name__.endswith(f".{name}"))
                page.open(tab.TITLE, theme.capitalize())
                height = driver.execute_script("return document.querySelector('footer').getBoundingClientRect().top")
                picture = screenshot(page, 1200, min(int(height), 1100))
                save(picture, ROOT / "docs" / f"{theme}.webp", quality=85, method=6)
            show_preview(page, app.PITCH)
            picture = screenshot(page, 1200, 630).quantize(256, dither=Image.Dither.NONE)
            save(picture, look.PREVIEW, optimize=True)
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
