"""The app as visitors have it: in a real browser, by mouse, touch and keyboard, on a desktop and on a phone."""

import contextlib
import io
import json
import re
import shutil
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np
import pytest
import test_spaces
import torch
from conftest import absent
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from test_spaces import SPACES, all_tabs, served, slowed, threads

from hub_models.conv_classifier import CIFAR10

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",  # the editor's canvas is WebGL
    "--window-size=1200,1000",
    "--use-fake-device-for-media-stream",  # a camera
    "--use-fake-ui-for-media-stream",  # which may be used
)

# the visible elements of a selector with a text in them, in one call: to ask each whether it is seen takes seconds
SHOWN = """const [selector, text] = arguments, how = {opacityProperty: true, visibilityProperty: true};
const seen = e => e.checkVisibility(how) && e.getClientRects().length && e.offsetWidth !== 0;
return [...document.querySelectorAll(selector)].filter(e => seen(e) && (e.innerText ?? '').includes(text));"""

# what a visitor sees of a tab: its innermost panel that is shown
PANEL = """const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.offsetWidth;
const panel = [...document.querySelectorAll('[role=tabpanel]')].filter(seen).at(-1);
const all = selector => [...(panel?.querySelectorAll(selector) ?? [])].filter(seen);
"""
# what reaches out of the page to the right, of what may not be scrolled by itself; Gradio's container only hides it
WIDE = f"""{PANEL} const width = document.documentElement.clientWidth;
const scrolls = e => e && !e.matches('.gradio-container')
    && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
const wide = all('*').filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement));
return [...wide.map(e => e.outerHTML.slice(0, 200)), ...document.documentElement.scrollWidth > width ? ['page'] : []]"""


def wait_for(condition, seconds: float = 40):
    """Poll until the condition holds; its value. An element that the page draws again is looked for again."""

    def steady():
        with contextlib.suppress(StaleElementReferenceException):
            return condition()

    return test_spaces.wait_for(steady, seconds)


class Page:
    """The app, open in a browser."""

    def __init__(self, driver: webdriver.Chrome, url: str):
        self.driver, self.url = driver, url

    def open(self, tab: str, theme: str = "Digits", *, phone: bool = False, dark: bool = False) -> None:
        """Load the app afresh, as that kind of visitor, and wait until the tab's brush, if any, is in hand."""
        cdp = self.driver.execute_cdp_cmd
        cdp("Emulation.clearDeviceMetricsOverride", {})
        if phone:
            size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            cdp("Emulation.setDeviceMetricsOverride", size)
        cdp("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        cdp("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(self.url)
        self.find("[role=tab]", theme).click()
        self.turn_to(tab)
        if theme == "Digits":
            self.find("[aria-label=Brush].highlight")

    def turn_to(self, tab: str) -> None:
        """Open a tab; what does not fit a phone is in a menu."""
        wait_for(lambda: self.shown("[role=tab]", tab) or self.shown(".overflow-menu > button"))
        if not self.shown("[role=tab]", tab):
            self.shown(".overflow-menu > button")[-1].click()
        self.find("[role=tab], .overflow-dropdown button", tab).click()

    def choose(self, label: str, option: str) -> None:
        """Choose in the visible dropdown of that label."""
        self.find(f"input[aria-label='{label}']").click()

        def chosen() -> bool:
            options = self.shown("[role=option]", option)
            if options:
                options[0].click()
            return bool(options)

        wait_for(chosen)

    def shown(self, selector: str, text: str | None = None) -> list[WebElement]:
        """The visible elements, with that text if one is given."""
        return self.driver.execute_script(SHOWN, selector, text or "")

    def find(self, selector: str, text: str | None = None) -> WebElement:
        """The first visible element, waited for and scrolled to."""
        element = wait_for(lambda: self.shown(selector, text))[0]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element

    def block(self, label: str) -> WebElement:
        """The visible block of that label."""
        return wait_for(lambda: [e for e in self.shown(".block", label) if e.text.startswith(label)])[-1]

    def picture(self, caption: str, scale: int) -> np.ndarray:
        """The pixels of the picture under that caption, as the server has them."""
        images = (By.XPATH, f"//p[normalize-space()='{caption}']/following::img[contains(@src, 'image.png')][1]")
        image = wait_for(lambda: [e for e in self.driver.find_elements(*images) if e.is_displayed()])[0]
        with urllib.request.urlopen(image.get_attribute("src")) as reply:
            return np.asarray(Image.open(io.BytesIO(reply.read())).convert("L"))[::scale, ::scale]

    def answers(self) -> int:
        """Classes in the visible list of the likeliest, which is there once a picture has been classified."""
        return self.block("What it takes it for").text.count("%")

    def has_read(self) -> bool:
        """Whether the classifier has read a whole digit: none of it is dim."""
        return bool(np.isin(self.picture("What the network sees", 10), (0, 255)).all())

    def stroke(self, *corners: tuple[int, int]) -> None:
        """Draw by mouse on the visible canvas; corners are pixels from its middle."""
        canvas = self.find("canvas")
        pen = ActionChains(self.driver, duration=50).move_to_element_with_offset(canvas, *corners[0]).click_and_hold()
        for x, y in corners[1:]:
            pen.move_to_element_with_offset(canvas, x, y)
        pen.release().perform()

    def finger(self, *corners: tuple[int, int]) -> None:
        """Draw by touch."""
        where = "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
        x0, y0 = self.driver.execute_script(where, self.find("canvas"))
        touch = [{"x": x0 + x, "y": y0 + y} for x, y in corners]
        for kind, points in (
            ("touchStart", touch[:1]),
            *(("touchMove", [p]) for p in touch[1:]),
            ("touchEnd", []),
        ):
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def filming(self) -> bool:
        """Whether the camera has a frame to show."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('video')].some(v => v.videoWidth > 0 && v.currentTime > 0)"
        )

    def says(self, part: str) -> bool:
        return part in self.driver.execute_script("return document.body.innerText")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with all_tabs(tmp_path_factory) as app:
        yield app


def chromium(*flags: str) -> webdriver.Chrome:
    """A browser without a window."""
    if not (BROWSER and DRIVER):
        absent("needs Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, Service(DRIVER))


@pytest.fixture(scope="module")
def browser(app):
    driver = chromium()
    with served(app) as url:
        yield Page(driver, url)
        driver.quit()


@contextlib.contextmanager
def watched(browser: Page) -> Iterator[Page]:
    """The page; whatever is done there, nothing goes wrong in it and it asks nobody but the app."""
    yield browser
    severe = [entry["message"] for entry in browser.driver.get_log("browser") if entry["level"] == "SEVERE"]
    messages = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    browser.driver.get("about:blank")
    browser.driver.get_log("browser")  # Gradio complains of a page that is left while it streams: not the next test's
    assert severe == []
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} <= {"127.0.0.1"}


@pytest.fixture
def page(browser):
    with watched(browser) as page:
        yield page


SEVEN = [(-40, -80), (40, -80), (-10, 80)]


LINES = """return [...document.querySelectorAll('.plot_marks path')].map(
    line => [line.ariaLabel.at(-1), line.getAttribute('stroke'), line.getAttribute('d').split('L').length])"""


def predicted(page: Page) -> str:
    """The sentence that tells the prediction; of nothing read, an empty one."""
    told = "return [...document.querySelectorAll('h3')].map(e => e.innerText).find(t => t.includes('Prediction'))"
    return page.driver.execute_script(told) or ""


def fetched(image: WebElement, scale: int) -> np.ndarray:
    """The pixels of a picture on the page, as the server has them."""
    with urllib.request.urlopen(image.get_attribute("src")) as reply:
        return np.asarray(Image.open(io.BytesIO(reply.read())).convert("L"))[::scale, ::scale]


def test_the_first_tab_plays_an_example_when_it_opens(page, app):
    classify = app.themes["digits"].TABS[0]
    page.driver.get(page.url)  # no tab is chosen
    told = wait_for(lambda: predicted(page))
    assert "after" not in told  # the finished reading, even where nothing is streamed
    wait_for(lambda: "of 784 pixels" in predicted(page))
    wait_for(lambda: predicted(page) == told and page.has_read())
    digit = classify.from_example(classify.FIRST).image[0, 0].numpy()
    assert np.array_equal(page.picture("What the network sees", 10) > 0, digit > 127)
    assert np.array_equal(page.picture("Your picture", 10), digit)


def test_the_first_tab_shows_its_result_on_the_first_screen_of_a_phone(page):
    page.open("Classify", phone=True)
    parts = [wait_for(lambda: page.shown("h3", "Prediction"))[0], page.find("p", "What the network sees")]
    pictures = wait_for(lambda: len(found := page.shown("img[src*='image.png']")) >= 2 and found)[:2]
    ends = [element.rect["y"] + element.rect["height"] for element in (*parts, *pictures)]
    assert max(ends) <= 844
    assert page.find("canvas").rect["y"] > max(ends)


def test_a_gallery_has_two_columns_on_a_phone(page):
    page.open("Sample", "Pixels", phone=True)
    pictures = wait_for(lambda: len(found := page.shown(".grid-container button")) > 3 and found)
    assert len({round(picture.rect["x"]) for picture in pictures}) == 2


def test_a_drawing_is_read_as_it_grows_in_dark_mode(page):
    page.open("Classify", dark=True)
    assert page.find("body").get_attribute("class") == "dark"
    eight = page.picture("What the network sees", 10) > 100
    page.stroke(*SEVEN)
    wait_for(lambda: ((page.picture("What the network sees", 10) > 100) != eight).any() and page.has_read())
    seven, told = page.picture("What the network sees", 10), page.block("Probability of each digit").text
    assert (seven == 255).sum() > 30 and told.count("%") == 10
    own = page.picture("Your picture", 1)
    assert own.shape == (280, 280) and 0.7 < (own == 255).mean() < 1  # black on white, as it was drawn
    page.stroke((-60, 0), (60, 0))  # a bar through it
    wait_for(lambda: page.has_read() and (page.picture("What the network sees", 10) != seven).any())
    wait_for(lambda: page.block("Probability of each digit").text != told)


def test_the_plot_has_a_line_of_its_own_colour_for_each_digit_each_time(page, app):
    colours = app.themes["digits"].TABS[0].COLOURS
    page.open("Classify")
    for i in (8, 4):
        wait_for(lambda: page.shown("button.gallery-item"))[i].click()
        wait_for(lambda: "after" in predicted(page))
        wait_for(lambda: "after" not in predicted(page))
        wait_for(
            lambda: page.driver.execute_script(LINES) == [[digit, colour, 28] for digit, colour in colours.items()]
        )
    assert all(page.says(f"━ {digit}") for digit in colours)


def test_an_example_by_keyboard_and_the_look_back(page):
    page.open("Classify")
    for look_first in (True, False):  # at what the page opened on, and at an example
        if not look_first:
            page.find("button.gallery-item").send_keys(Keys.ENTER)
            wait_for(lambda: "of 784" in predicted(page))
        wait_for(lambda: predicted(page) and "after" not in predicted(page) and page.has_read())
        told = page.block("Probability of each digit").text
        page.find("input[type=range]").send_keys(Keys.HOME)  # to the first pixel
        wait_for(lambda: "after 1 of 784 pixels" in predicted(page))
        assert (page.picture("What the network sees", 10) == 255).sum() == 0
        wait_for(lambda told=told: page.block("Probability of each digit").text != told)


def test_a_cleared_sketchpad_empties_the_results(page):
    page.open("Classify")
    wait_for(lambda: predicted(page))
    page.find("[aria-label='Clear canvas']").click()
    wait_for(lambda: not predicted(page))
    wait_for(lambda: not page.driver.execute_script(LINES))
    assert not [e for e in page.shown("img") if e.get_attribute("alt") in ("Your picture", "What the network sees")]
    page.stroke(*SEVEN)  # there is paper
    wait_for(lambda: predicted(page) and page.has_read())


@pytest.mark.parametrize("tab", ["Classify", "In-paint"])
def test_a_file_that_is_no_picture_gets_a_sentence(page, tmp_path, tab):
    page.open(tab)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_text("no picture")
    button = page.find("button", "Upload a picture")
    files = button.find_element(By.XPATH, "preceding::input[@type='file'][1]")
    files.send_keys(str(tmp_path / "notes.txt"))
    wait_for(lambda: page.says("Upload a picture: notes.txt is no picture. Give a PNG, JPEG,"))
    files.send_keys(str(tmp_path / "broken.png"))
    wait_for(lambda: page.says("of an unknown kind: give a PNG, JPEG, WebP, GIF, BMP or TIFF"))
    if tab == "Classify":  # nothing of the one before; In-paint keeps that, in its editor
        wait_for(lambda: not predicted(page) and not page.shown("img[alt='Your picture']"))
        wait_for(lambda: not page.shown("img[alt='What the network sees']"))


def completed(page: Page) -> list[np.ndarray]:
    """The truth and the completions in the gallery, once they are there."""
    pictures = wait_for(lambda: page.shown(".thumbnail-item img[src*='image.png']"))
    assert all(page.says(picture.get_attribute("alt")) for picture in pictures)
    assert all("total surprise: " in picture.get_attribute("alt") for picture in pictures)
    return [fetched(picture, 9) for picture in pictures]


def test_hidden_by_mouse_and_completed(page):
    page.open("In-paint")
    assert len(wait_for(lambda: page.shown(".thumbnail-item img"))) == 6  # an example, completed
    page.stroke((-60, 0), (60, 0))
    page.find("button", "Complete the digit").click()
    truth, *images = completed(page)
    given = page.picture("What the network is given", 9)
    grey = given == 128
    rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
    assert rows[0] >= 2 and rows[-1] <= 26 and grey[rows.mean().round().astype(int), 9:19].all()
    assert len(columns) > len(rows)
    assert np.array_equal(np.where(grey, 128, truth), given)
    assert len(images) == 5 and all(np.array_equal(image[~grey], truth[~grey]) for image in images)
    assert page.says("gru128-mnist-predict, seed 0, temperature 1.")


def test_hidden_by_touch_on_a_phone(page):
    page.open("In-paint", phone=True)
    page.finger(*((x, 20) for x in range(-60, 61, 20)))
    page.find("button", "Complete the digit").click()
    completed(page)
    assert (page.picture("What the network is given", 9) == 128).sum() > 20
    assert page.driver.execute_script(WIDE) == []


def test_the_bottom_300_of_a_digit_of_ones_own(page):
    page.open("In-paint")
    page.find("button", "Draw a digit of your own").click()
    wait_for(lambda: len(page.shown("canvas")) == 2)
    page.stroke(*SEVEN)
    page.find("button", "Use the drawing").click()
    wait_for(lambda: not page.shown(".thumbnail-item img"))  # they were of another digit
    page.find("button", "Draw a digit of your own").click()
    wait_for(lambda: len(page.shown("canvas")) == 1)
    page.find("button", "Settings").click()
    page.find("label", "the first 28").click()
    page.find("button", "Hide the bottom 300 pixels").click()
    time.sleep(1)  # the brush's layer is drawn and sent
    page.find("button", "Complete the digit").click()
    wait_for(lambda: page.says("28 of 300 hidden pixels are filled."))
    assert (page.picture("What the network is given", 9) == 128).sum() == 300
    truth = fetched(page.find(".thumbnail-item img"), 9) == 255
    assert truth[:8].any(1).argmax() < 8 and truth[:10].sum(1).max() > truth[18:24].sum(1).max()  # a 7, not the 3


def test_nothing_hidden_is_told(page):
    page.open("In-paint")
    page.find("button", "Complete the digit").click()
    wait_for(lambda: page.says("Nothing is hidden"))
    wait_for(lambda: page.find("button", "Complete the digit").is_enabled())


def test_cancelled_while_it_completes(page, app, monkeypatch):
    inpaint = app.themes["digits"].TABS[1]
    monkeypatch.setattr(inpaint.model(), "complete", slowed(inpaint.model(), 0.02), raising=False)
    page.open("In-paint")
    assert not page.find("button", "Cancel").is_enabled()
    page.find("button", "Hide the bottom 300 pixels").click()
    time.sleep(1)  # the brush's layer is drawn and sent
    page.find("button", "Complete the digit").click()
    wait_for(lambda: page.says(" of 300 pixels are filled."))
    assert not page.find("button", "Completing ...").is_enabled()
    wait_for(lambda: page.find("button", "Cancel").is_enabled())
    page.find("button", "Cancel").click()
    wait_for(lambda: not threads(), 3)  # uncancelled it would go on for 6 s
    assert not page.says("300 of 300")
    sheet = fetched(page.find("img[alt='Completions so far']"), 4)
    assert (sheet == 128).sum() > 200  # what it had done stays, the rest is grey
    wait_for(lambda: page.find("button", "Complete the digit").is_enabled())
    page.find("button.gallery-item").click()
    wait_for(lambda: not page.shown("img[alt='Completions so far']") and not page.says("of 300"))


# --- vision

EXAMPLES = sorted((SPACES / "examples" / "cifar10").glob("*.png"))


def vision_tab(app, title: str):
    """A tab's module."""
    return next(tab for tab in app.themes["vision"].TABS if title == tab.TITLE)


def prediction_of(app, path, name: str = "cifar10-fast") -> str:
    """The prediction as the page shows it."""
    return vision_tab(app, "Classify").show_classes(str(path), name)[0].removeprefix("### ")


def send(page: Page, path) -> None:
    """Choose a file in the visible picture box, which is empty."""
    page.block("Picture").find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(path))


def bare(page: Page) -> bool:
    """Whether no result of a picture is shown."""
    return not (
        page.shown("h3", "Prediction") or page.shown("button.confidence-set") or page.shown("img[src*='image.png']")
    )


def test_each_tab_opens_with_the_result_of_an_example(page, app):
    page.open("Classify", "Vision", dark=True)
    frog = np.asarray(Image.open(EXAMPLES[6]).convert("L"))
    words = prediction_of(app, EXAMPLES[6])
    wait_for(lambda: page.says(words) and len(page.shown("button.confidence-set")) == 5)
    assert np.array_equal(page.picture("What the net sees", 8), frog)
    page.turn_to("Look inside")
    best = words.replace("Prediction", "Most probable class")
    wait_for(lambda: page.says(best) and page.says("strongest evidence for the class"))
    assert np.array_equal(page.picture("What the net sees", 8), frog)
    assert page.picture("Where the net sees the class", 8).shape == (32, 32)
    page.turn_to("Compare")
    other = prediction_of(app, EXAMPLES[6], "cnn5x32-cifar10-study")
    wait_for(lambda: page.says(words) and page.says(other) and len(page.shown("button.confidence-set")) == 10)
    assert len(page.shown(".chip")) == 2
    page.turn_to("Mistakes")
    wait_for(lambda: page.says("cats were taken for dogs"))
    for image in page.shown("[role=tabpanel] .block:not(.gallery) img"):
        assert image.get_attribute("alt")


def test_an_example_is_classified_by_keyboard_and_by_either_model(page, app):
    page.open("Classify", "Vision")
    page.find("button.gallery-item")
    page.shown("button.gallery-item")[8].send_keys(Keys.ENTER)
    wait_for(lambda: page.says(prediction_of(app, EXAMPLES[8])))
    assert np.array_equal(page.picture("What the net sees", 8), np.asarray(Image.open(EXAMPLES[8]).convert("L")))
    page.choose("Model", "Plain CNN")
    wait_for(lambda: page.says(prediction_of(app, EXAMPLES[8], "cnn5x32-cifar10-study")) and page.says("141,034 param"))


def test_no_result_outlives_its_picture(page, app, tmp_path):
    Image.new("RGB", (90, 60), (200, 30, 40)).save(tmp_path / "red.png")
    (tmp_path / "broken.png").write_bytes(EXAMPLES[0].read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("a frog")
    page.open("Classify", "Vision")
    for tab in ("Classify", "Look inside", "Compare"):
        page.turn_to(tab)
        wait_for(lambda: not bare(page))
        page.find("[aria-label='Remove Image']").click()
        wait_for(lambda: bare(page))
        send(page, tmp_path / "notes.txt")
        wait_for(lambda: page.says("Picture: notes.txt is no picture. Give a PNG, JPEG, WebP, GIF, BMP or TIFF."))
        page.find("[aria-label=Close]").click()
        send(page, tmp_path / "red.png")
        wait_for(lambda: not bare(page))
        page.find("[aria-label='Remove Image']").click()
        wait_for(lambda: bare(page))
        send(page, tmp_path / "broken.png")
        wait_for(lambda: page.says("damaged"))
        assert bare(page)
        page.find("[aria-label=Close]").click()
        page.find("button.gallery-item").click()
        wait_for(lambda: not bare(page))


@pytest.mark.parametrize("phone", [False, True])
def test_an_uploaded_picture_and_one_from_the_camera_are_classified(page, tmp_path, phone):
    page.open("Classify", "Vision", phone=phone)
    Image.new("RGB", (90, 60), (200, 30, 40)).save(tmp_path / "red.png")
    page.find("[aria-label='Remove Image']").click()
    wait_for(lambda: bare(page))
    send(page, tmp_path / "red.png")
    wait_for(lambda: len(page.shown("button.confidence-set")) == 5)
    red = page.picture("What the net sees", 8)
    assert red.shape == (32, 32) and len(np.unique(red)) == 1
    page.find("[aria-label='Remove Image']").click()
    page.find("[aria-label='Capture from camera']").click()
    page.find("button", "Click to Access Webcam").click()
    page.find("[aria-label='capture photo']")
    wait_for(page.filming)  # before its first frame the button does nothing
    page.find("[aria-label='capture photo']").click()
    wait_for(lambda: len(np.unique(page.picture("What the net sees", 8))) > 1)
    assert not page.shown("[aria-label=Close]")  # no error was shown on the way


def test_layers_classes_and_models_are_looked_at_in_turn(page):
    page.open("Look inside", "Vision")
    wait_for(lambda: page.says("Layer whiten, number 1 of 7: 24 of its 24 feature maps"))
    early = page.picture("Feature maps", 1)
    page.choose("Layer, from early to deep", "group0b")
    wait_for(lambda: page.says("Layer group0b, number 3 of 7"))
    assert page.picture("Feature maps", 1).shape != early.shape
    page.choose("Class to look for", "horse")
    wait_for(lambda: page.says("Class: horse (probability ") and page.says("Layer group0b"))
    page.choose("Model", "Plain CNN")
    wait_for(lambda: page.says("), Plain CNN (2025 study)") and page.says("Layer conv0, number 1 of "))
    page.choose("Layer, from early to deep", "conv1")
    wait_for(lambda: page.says("Layer conv1, number 2 of "))
    assert page.picture("Where the net sees the class", 8).shape == (32, 32)


def test_a_cell_of_the_confusion_matrix_shows_its_images(page, app, monkeypatch):
    mistakes = vision_tab(app, "Mistakes")
    names = mistakes.report().facts["names"]
    page.open("Mistakes", "Vision")

    def shown(truth: int, taken: int) -> bool:
        sentence, images = mistakes.show_mistakes(names[truth], names[taken])
        captions = all(page.says(caption) for _, caption in images)
        return page.says(sentence.strip("*")) and len(page.shown(".grid-container img")) == len(images) and captions

    for truth, taken in ((6, 6), (8, 0), (0, 6)):
        page.find(f"[data-testid=cell-{truth}-{taken + 1}]").click()
        wait_for(lambda truth=truth, taken=taken: shown(truth, taken))
    report = mistakes.report
    with monkeypatch.context() as patched:
        patched.setattr(mistakes, "report", lambda: time.sleep(0.5) or report())
        for truth, taken in ((3, 5), (0, 6)):
            page.find(f"[data-testid=cell-{truth}-{taken + 1}]").click()
        wait_for(lambda: shown(0, 6))
        time.sleep(4)
        assert shown(0, 6)
    box = page.find("input[aria-label='True class']")  # by keyboard
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys("truck", Keys.ENTER)
    wait_for(lambda: shown(9, 6))


def test_the_confusion_matrix_scrolls_inside_itself_on_a_phone(page):
    page.open("Mistakes", "Vision", phone=True)
    cell = page.find("[data-testid=cell-0-1]")
    script = """let e = arguments[0];
    while (e && !(e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX)))
        e = e.parentElement;
    if (e) e.scrollLeft = e.scrollWidth;
    return [!!e && e !== document.scrollingElement, document.documentElement.scrollWidth, window.innerWidth];"""
    assert page.driver.execute_script(script, cell) == [True, 390, 390]
    wait_for(lambda: 0 < page.shown("[data-testid=cell-0-10]")[0].location["x"] < 390)


def test_the_models_stand_side_by_side_or_on_a_phone_below_each_other(page):
    for phone in (False, True):
        page.open("Compare", "Vision", phone=phone)
        chips = wait_for(lambda: len(page.shown(".chip")) == 2 and page.shown(".chip"))
        for pair in (chips, page.shown("h3", "Prediction"), page.shown("p", "Where the net sees the class")):
            first, second = (element.rect for element in pair)
            assert (first["x"] == second["x"]) == phone and (second["y"] - first["y"] > 100) == phone


def test_all_fits_a_phone(page):
    page.open("Classify", "Vision", phone=True)
    for tab in (
        *("Classify", "Compare", "Look inside", "Mistakes"),
        *("Sample", "How likely", "Receptive field", "Complete"),
        *("Complete a sentence", "Write like Shakespeare", "Surprise"),
    ):
        if tab in ("Sample", "Complete a sentence"):
            page.find("[role=tab]", "Pixels" if tab == "Sample" else "Text").click()
        page.turn_to(tab)
        if tab == "Surprise":
            wait_for(lambda: page.says("bits per character"))
        elif tab in ("Classify", "Compare", "Look inside", "How likely"):
            page.find("button.gallery-item").click()
            wait_for(lambda: [e for e in page.shown("img[src*='image.png']") if e.size["width"] > 50])
        assert page.driver.execute_script(WIDE) == [], tab
    page.turn_to("Compare")
    page.find("button.primary", "Compare").click()
    columns = wait_for(lambda: [e for e in page.shown("textarea:disabled") if e.get_attribute("value")])
    assert len({e.rect["x"] for e in columns}) == 1 and columns[0].size["width"] > 250  # one below the other
    assert page.driver.execute_script(WIDE) == []


# --- pixels


@pytest.fixture(scope="module")
def pixels(browser):
    """The page in dark mode, loaded once for all tests here: that takes longer than each of them."""
    with watched(browser) as page:
        page.open("Sample", "Pixels", dark=True)
        yield page


def tab_of(app, title: str):
    """A tab's module, and the model that its page starts with."""
    tab = next(tab for tab in app.themes["pixels"].TABS if title == tab.TITLE)
    return tab, tab.model("gated-pixelcnn-cifar10")


def unfinished(page: Page, label: str, scale: int) -> np.ndarray:
    """The pixels of the picture that is shown while results come about."""
    image = wait_for(lambda: page.shown(f"img[alt='{label}']"))[0]
    with urllib.request.urlopen(image.get_attribute("src")) as reply:
        return np.asarray(Image.open(io.BytesIO(reply.read())).convert("L"))[::scale, ::scale]


GALLERY = """return [...document.querySelectorAll('.thumbnail-item.thumbnail-lg')].filter(e => e.offsetWidth).map(
    e => [e.querySelector('img').src, e.querySelector('.caption-label').innerText])"""


def gallery(page: Page, n: int) -> list[tuple[np.ndarray, str]]:
    """The n images of the visible gallery, of 8x8 pixels, as (8, 8, 3), and their captions; waited for."""
    found = []
    for address, caption in wait_for(lambda: len(items := page.driver.execute_script(GALLERY)) == n and items):
        with urllib.request.urlopen(address) as reply:
            found.append((np.asarray(Image.open(io.BytesIO(reply.read())).convert("RGB"))[::32, ::32], caption))
    return found


def empty(page: Page) -> bool:
    """Whether the visible gallery, if any, has no images."""
    return not page.driver.execute_script(GALLERY)


def sampled(net, seed: int, label: int, n: int = 4) -> np.ndarray:
    """What a model draws with a seed, uint8 (n, H, W, C)."""
    generator = torch.Generator().manual_seed(seed)
    return net.sample(n, label=torch.full((n,), label), generator=generator).permute(0, 2, 3, 1).numpy()


def buttons(page: Page, label: str) -> tuple[bool, bool]:
    """Whether a run button of that label, and the one that cancels it, can be pressed."""
    cancel = page.shown("button.stop", "Cancel")[-1]
    return bool(page.shown("button.primary:enabled", label)), cancel.is_enabled()


def test_each_tab_opens_on_a_result(pixels):
    for tab, words, pictures in (
        ("Sample", "Gated PixelCNN on CIFAR-10, seed 0, temperature 1.", 10),
        ("Complete", "Gated PixelCNN on CIFAR-10, class ship, seed 0, temperature 1. The truth: ", 4),
        ("How likely", "bits/dim (total surprise", 0),
        ("Receptive field", "Gated PixelCNN on CIFAR-10, row 20, column 12: the model uses ", 0),
    ):
        pixels.turn_to(tab)
        wait_for(lambda words=words: pixels.says(words))
        wait_for(lambda pictures=pictures: len(pixels.shown(".thumbnail-item.thumbnail-lg img")) == pictures)
        assert not pixels.shown("img:not([alt])")
    for alt in ("The truth", "What is given"):
        pixels.turn_to("Complete")
        assert pixels.find(f"img[alt='{alt}']").get_property("naturalWidth") == 256


def test_samples_appear_row_by_row_until_they_are_cancelled(pixels, app):
    _, net = tab_of(app, "Sample")
    pixels.turn_to("Sample")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(net, "complete", slowed(net, 0.02), raising=False)
        assert buttons(pixels, "Draw images") == (True, False)
        pixels.find("button", "Draw images").click()
        wait_for(lambda: pixels.says(" of 8 rows are drawn."))
        wait_for(lambda: buttons(pixels, "Draw images") == (False, True))
        assert empty(pixels)  # the start is gone
        pixels.find("button", "Cancel").click()
        wait_for(lambda: not threads(), 3)  # uncancelled it would go on for 4 s
        assert not pixels.says("The captions say")
        assert (unfinished(pixels, "Images so far", 32) == 128).sum() > 8  # what it had done stays, the rest is grey
    wait_for(lambda: buttons(pixels, "Draw images") == (True, False))


def test_a_run_button_that_is_pressed_while_it_runs_does_nothing(pixels, app):
    _, net = tab_of(app, "Sample")
    pixels.turn_to("Sample")
    pixels.choose("Class", "horse")
    pixels.find("button", "Settings").click()
    seed = pixels.find("input[aria-label^='Random seed']")
    seed.send_keys(Keys.CONTROL, "a")
    seed.send_keys("5", Keys.TAB)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(net, "complete", slowed(net, 0.01), raising=False)
        press = "arguments[0].click(); arguments[0].click()"
        pixels.driver.execute_script(press, pixels.find("button", "Draw images"))
        pixels.find("button:disabled", "Drawing ...")
        seed.send_keys(Keys.CONTROL, "a")
        seed.send_keys("6", Keys.TAB)
        pixels.driver.execute_script(press, pixels.find("button", "Drawing ..."))
        wait_for(lambda: pixels.says("Gated PixelCNN on CIFAR-10, seed 5, temperature 1. The captions say"))
        shown = gallery(pixels, 4)
        time.sleep(0.5)
        assert not threads() and not pixels.says("seed 6")  # nothing waits to run
    expected = sampled(net, 5, CIFAR10.index("horse"))
    assert all(np.array_equal(image, wanted) for (image, _), wanted in zip(shown, expected, strict=True))
    cut = "return [...document.querySelectorAll('.caption-label')].some(e => e.scrollWidth > e.clientWidth)"
    assert not pixels.driver.execute_script(cut)
    assert all(re.fullmatch(r"horse, \d\.\d\d bits/dim", caption) for _, caption in shown)
    pixels.find("label", "New seed each time").click()
    pixels.find("button:enabled", "Draw images").click()
    wait_for(lambda: pixels.says("The captions say") and not pixels.says("seed 5,"))
    drawn = int(seed.get_attribute("value"))
    assert drawn != 6 and pixels.says(f"seed {drawn}, ")
    expected = sampled(net, drawn, CIFAR10.index("horse"))
    assert all(np.array_equal(image, wanted) for (image, _), wanted in zip(gallery(pixels, 4), expected, strict=True))
    pixels.find("label", "New seed each time").click()


def test_another_model_ends_the_run_and_empties_its_results(pixels, app):
    _, net = tab_of(app, "Sample")
    pixels.turn_to("Sample")
    assert not empty(pixels)
    pixels.choose("Model", "Row LSTM on MNIST")
    wait_for(lambda: not pixels.shown("input[aria-label=Class]"))
    wait_for(lambda: empty(pixels) and not pixels.says("The captions say"))
    pixels.choose("Model", "Gated PixelCNN on CIFAR-10")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(net, "complete", slowed(net, 0.02), raising=False)
        pixels.find("button:enabled", "Draw images").click()
        wait_for(lambda: pixels.says(" of 8 rows are drawn."))
        pixels.choose("Model", "Row LSTM on CIFAR-10")
        wait_for(lambda: not threads(), 3)
    wait_for(lambda: not pixels.says("rows are drawn") and buttons(pixels, "Draw images") == (True, False))
    assert not pixels.shown("img[alt='Images so far']")


def test_what_surprises_in_a_picture_is_shown_by_model_and_class(pixels, app):
    tab, _ = tab_of(app, "How likely")
    pixels.turn_to("How likely")
    pixels.find("button.gallery-item").send_keys(Keys.ENTER)
    for class_name in ("most probable class", "truck"):
        path = tab.use_example(0, "gated-pixelcnn-cifar10")[1][0]
        words = tab.score(path, "gated-pixelcnn-cifar10", class_name)[2]
        wait_for(lambda words=words: pixels.says(words.replace("*", "")))
        if class_name == "most probable class":
            pixels.choose("Class", "truck")
    chart = "How surprising each pixel is"
    assert pixels.picture(chart, 1).shape[1] == 2 * 256 + 3 * 12
    assert pixels.says("Class that explains this picture best (not a classifier)")
    assert sum(block.text.count("%") for block in pixels.shown(".block")) >= 5
    pixels.choose("Model", "PixelCNN on MNIST")
    other = tab.score(path, "pixelcnn-mnist", "most probable class")[2].replace("*", "")
    wait_for(lambda: pixels.says("Examples from MNIST") and pixels.says(other))
    wait_for(lambda: pixels.picture(chart, 1).shape[1] == 504 + 2 * 12)


def test_nothing_stays_of_a_picture_that_is_taken_away(pixels, tmp_path):
    pixels.turn_to("How likely")
    own = pixels.block("Your own picture")
    own.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(EXAMPLES[0]))
    wait_for(lambda: pixels.says("total surprise") and pixels.shown("[aria-label='Remove Image']"))
    pixels.find("[aria-label='Remove Image']").click()
    wait_for(lambda: not pixels.says("total surprise") and not pixels.shown("img[alt='What the model sees']"))
    pixels.find("button.gallery-item").click()
    wait_for(lambda: pixels.says("total surprise"))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    own.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(tmp_path / "broken.png"))
    wait_for(lambda: pixels.says("The picture is damaged"))
    wait_for(lambda: not pixels.says("total surprise") and not pixels.shown("img[alt='What the model sees']"))
    pixels.find("[aria-label=Close]").click()


def test_a_score_that_comes_late_does_not_bring_a_removed_picture_back(pixels, app, monkeypatch):
    tab, net = tab_of(app, "How likely")
    pixels.turn_to("How likely")
    pixels.choose("Model", "Gated PixelCNN on CIFAR-10")
    own = pixels.block("Your own picture")
    with monkeypatch.context() as patched:
        slow(patched, net, "sub_pixel_log_prob", 3)
        own.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(EXAMPLES[3]))
        pixels.find("[aria-label='Remove Image']").click()
        time.sleep(5)
    assert not pixels.says("total surprise") and not pixels.shown("img[alt='What the model sees']")


def test_the_last_of_two_clicks_on_pixels_is_shown(pixels, app, monkeypatch):
    tab, _ = tab_of(app, "Receptive field")
    pixels.turn_to("Receptive field")
    pixels.choose("Model", "Gated PixelCNN on CIFAR-10")
    measure = tab.seen_by
    with monkeypatch.context() as patched:
        patched.setattr(tab, "seen_by", lambda *pixel: time.sleep(2) or measure(*pixel))
        for across in (-1.5, 1.5):  # columns 2 and 5 of row 6
            image = pixels.find("img[alt='Click on a pixel']")
            cell = image.size["width"] / 8
            by = ActionChains(pixels.driver).move_to_element_with_offset(image, int(across * cell), int(2.5 * cell))
            by.click().perform()
        wait_for(lambda: pixels.says("row 6, column 5: "))
        time.sleep(3)
    assert pixels.says("row 6, column 5: ")
    assert pixels.find("input[aria-label='Column (0: left)']").get_attribute("value") == "5"


def test_a_click_shows_what_a_pixel_depends_on(pixels, app):
    tab, _ = tab_of(app, "Receptive field")
    pixels.turn_to("Receptive field")
    image = pixels.find("img[alt='Click on a pixel']")
    cell = image.size["width"] / 8
    by = ActionChains(pixels.driver).move_to_element_with_offset(image, int(-1.5 * cell), int(2.5 * cell))
    by.click().perform()  # row 6, column 2
    words = tab.show_field("gated-pixelcnn-cifar10", 6, 2)[1].replace("*", "")
    wait_for(lambda: pixels.says(words))
    row = pixels.find("input[aria-label='Row (0: top)']")
    assert row.get_attribute("value") == "6"
    row.send_keys(Keys.BACKSPACE, "3")
    pixels.find("button", "Show what the pixel depends on").send_keys(Keys.ENTER)
    wait_for(lambda: pixels.says("Gated PixelCNN on CIFAR-10, row 3, column 2: "))
    pixels.choose("Model", "Row LSTM on MNIST")
    wait_for(lambda: pixels.says(tab.show_field("row-lstm-mnist", 3, 2)[1].replace("*", "")))


def test_a_part_of_a_photograph_is_hidden_and_completed(pixels):
    pixels.turn_to("Complete")
    pixels.find("[aria-label=Brush].highlight")
    pixels.stroke((-60, 0), (60, 0))
    pixels.find("button", "Complete the picture").click()
    wait_for(
        lambda: (
            pixels.says("class ship, seed 0, temperature 1. The truth: ")
            and pixels.picture("What is given", 32) is not None
        )
    )
    truth, given = (pixels.picture(name, 32) for name in ("The truth", "What is given"))
    grey = given != truth
    assert 3 <= grey.sum() <= 20 and (given[grey] == 128).all()
    for image, caption in gallery(pixels, 4):
        seen = np.asarray(Image.fromarray(image).convert("L"))
        assert np.array_equal(seen[~grey], truth[~grey]) and re.fullmatch(r"\d\.\d\d bits/dim", caption)
    pixels.find("button", "Hide the lower half").click()
    wait_for(lambda: pixels.shown("button:enabled", "Complete the picture"))
    time.sleep(0.5)  # the editor draws the layer
    pixels.find("button:enabled", "Complete the picture").click()
    wait_for(lambda: (pixels.picture("What is given", 32)[4:] == 128).all() and pixels.says("The truth: "))


def test_a_new_picture_or_model_empties_the_completions(pixels, app):
    _, net = tab_of(app, "Complete")
    pixels.turn_to("Complete")
    assert not empty(pixels)
    pixels.shown("button.gallery-item")[6].click()
    wait_for(lambda: empty(pixels) and not pixels.says("The truth: "))
    assert not pixels.shown("img[alt='The truth']")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(net, "complete", slowed(net, 0.1), raising=False)
        pixels.find("button", "Hide the lower half").click()
        time.sleep(0.5)  # the editor draws the layer
        pixels.find("button:enabled", "Complete the picture").click()
        wait_for(lambda: pixels.says("values are filled. Gated PixelCNN on CIFAR-10, class frog, "))
        pixels.choose("Model", "Diagonal BiLSTM on MNIST")  # which ends the run, and brings digits
        wait_for(lambda: not threads(), 6)  # uncancelled it would go on for 7 s
    wait_for(lambda: pixels.says("Examples from MNIST") and not pixels.says("values are filled"))
    time.sleep(0.5)  # a run that had gone on would end in results
    assert empty(pixels) and not pixels.says("The truth: ")
    assert not pixels.shown("input[aria-label=Class]")
    for example in (None, 7):  # the digit that came with the model, and another
        if example is not None:
            pixels.shown("button.gallery-item")[example].click()
            wait_for(lambda: empty(pixels) and not pixels.says("The truth: "))
        pixels.find("[aria-label=Brush].highlight")
        pixels.stroke((-60, 20), (60, 20))
        pixels.find("button:enabled", "Complete the picture").click()
        wait_for(lambda: pixels.says("The truth: total surprise ") and not empty(pixels))
        assert pixels.picture("The truth", 9).shape == (28, 28)


# --- text


@pytest.fixture
def text(browser):
    """The page in dark mode."""
    with watched(browser) as page:
        page.open("Complete a sentence", "Text", dark=True)
        yield page


def text_tab(app, title: str):
    """A tab's module."""
    return next(tab for tab in app.themes["text"].TABS if title == tab.TITLE)


def bars(page: Page) -> list[str]:
    """What the bars of the suggestions stand for."""
    return [bar.text.splitlines()[0] for bar in page.shown("button.confidence-set")]


def written(page: Page) -> list[str]:
    """The texts that models have written in the visible tab."""
    return [box.get_attribute("value") for box in page.shown("textarea:disabled")]


def set_to(box: WebElement, *keys: str) -> None:
    """Type into a box in place of what it holds."""
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(*keys)


def test_each_text_tab_opens_on_a_result(text, app):
    text.turn_to("Complete a sentence")
    wait_for(lambda: len(bars(text)) == 5)
    text.turn_to("Write like Shakespeare")
    wait_for(lambda: [whole.startswith("O Romeo, Romeo wherefore calls me?") for whole in written(text)] == [True])
    assert text.says("Words: LSTM, temperature 0.8, seed 0.")
    text.turn_to("Surprise")
    assert text.find("p.text").text.startswith("To be, or not to be") and text.says("Most surprising words: ")
    text.turn_to("Compare")
    wait_for(lambda: [whole.startswith("If music be the") for whole in written(text)] == [True] * 3)
    assert all(text.says(f"{title} at 0.8") for title in text_tab(app, "Compare").NAMES.values())
    assert text.says("All with seed 0.")
    for tab in ("Complete a sentence", "Write like Shakespeare", "Surprise"):  # a chip beside each choice of a model
        text.turn_to(tab)
        assert text.find(".chip").text.startswith("1,132,385 parameters\nperplexity 65.0 per token")


def test_old_results_go_with_the_model_and_the_beginning(text):
    text.turn_to("Write like Shakespeare")
    wait_for(lambda: all(written(text)))
    text.find("textarea").send_keys("x")
    wait_for(lambda: written(text) == [""] and not text.says("temperature 0.8, seed 0"))
    text.find("button.primary", "Write").click()
    wait_for(lambda: all(written(text)) and not text.shown("button", "Writing"))
    text.choose("Model", "Characters: LSTM")
    wait_for(lambda: written(text) == [""] and not text.says("temperature 0.8, seed 0"))
    text.turn_to("Surprise")
    text.find("textarea").send_keys(Keys.BACKSPACE)
    wait_for(lambda: not text.shown("p.text") and not text.says("Most surprising"))
    text.turn_to("Compare")
    wait_for(lambda: all(written(text)))
    text.find("button.gallery-item", "O Romeo").click()
    wait_for(lambda: written(text) == [""] * 3 and not text.says("All with seed 0."))


def slow(patched, net, name: str, seconds: float) -> None:
    """Let a method of a model wait before it begins, and each time it yields."""
    method = getattr(net, name)

    def slowly(*args, **options):
        time.sleep(seconds)
        return method(*args, **options)

    def dripping(*args, **options):
        for piece in method(*args, **options):
            time.sleep(seconds)
            yield piece

    patched.setattr(net, name, dripping if name == "generate" else slowly, raising=False)


@pytest.mark.parametrize(
    ("tab", "button", "method", "seconds"),
    [
        ("Write like Shakespeare", "Write", "generate", 0.05),
        ("Compare", "Compare", "generate", 0.05),
        ("Surprise", "Show the surprise", "token_log_prob", 3),
    ],
)
def test_a_text_that_is_typed_on_ends_the_run_of_the_old_one(text, app, monkeypatch, tab, button, method, seconds):
    text.turn_to(tab)
    box = text.find("textarea")
    with monkeypatch.context() as patched:
        slow(patched, text_tab(app, tab).model("word-lstm-plays"), method, seconds)
        text.find("button.primary", button).click()
        if method == "generate":
            wait_for(lambda: text.says("Writing ... ") and any(written(text)))
        else:
            time.sleep(1)
        box.send_keys("x")
        wait_for(lambda: text.shown("button.primary:enabled", button))
        time.sleep(seconds + 1)  # what was on its way arrives
        assert not any(written(text)) and not text.shown("p.text") and not text.says("Writing ... ")
        assert not text.says("seed 0.") and not text.says("Total surprise")


def test_two_clicks_on_a_bar_while_it_is_slow_add_it_once(text, app, monkeypatch):
    tab = text_tab(app, "Complete a sentence")
    first, *_ = tab.next_words("To be or not to", "word-lstm-plays", 1, 0)
    text.turn_to("Complete a sentence")
    bar = text.find("button.confidence-set")
    with monkeypatch.context() as patched:
        slow(patched, tab.model("word-lstm-plays"), "next_tokens", 1)
        text.driver.execute_script("arguments[0].click(); setTimeout(() => arguments[0].click(), 300)", bar)
        time.sleep(5)
    assert text.find("textarea").get_attribute("value") == f"To be or not to{first}"


def test_unknown_words_are_named_in_each_text_tab(text):
    told = "Not in this model's vocabulary: Zeppelin, ☃ (2 of 4 words)."
    for tab, button in (
        ("Complete a sentence", None),
        ("Write like Shakespeare", "Write"),
        ("Surprise", "Show the surprise"),
        ("Compare", "Compare"),
    ):
        text.turn_to(tab)
        set_to(text.find("textarea"), "Zeppelin or ☃ be")
        if button:
            text.find("button.primary", button).click()
        wait_for(lambda: text.says(told) and not text.shown("button:disabled", "ing ..."))


ACROSS = """const [element, word] = arguments, range = document.createRange();
const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
while (!walker.nextNode().data.includes(word));
range.selectNode(walker.currentNode);
const [inside, whole] = [range.getBoundingClientRect(), element.getBoundingClientRect()];
return (inside.x + inside.width / 2 - whole.x) / whole.width;"""


def test_each_line_has_the_direction_of_its_letters(text):
    text.turn_to("Surprise")
    box = text.find("textarea")
    set_to(box, "To be or not\nשלום עולם\nto be")
    looks = [box.value_of_css_property(name) for name in ("unicode-bidi", "text-align")]
    assert looks == ["plaintext", "start"]
    text.find("button.primary", "Show the surprise").click()
    wait_for(lambda: text.shown("p.text", "שלום"))
    across = [text.driver.execute_script(ACROSS, text.find("p.text"), word) for word in ("To", "שלום", "to")]
    assert across[0] < 0.2 and across[1] > 0.8 and across[2] < 0.5


def test_suggestions_come_with_each_letter_and_are_taken_and_taken_back(text, app):
    tab = text_tab(app, "Complete a sentence")

    def suggested(so_far: str, temperature: float = 1) -> list[str]:
        return [label.strip() for label in tab.next_words(so_far, "word-lstm-plays", temperature, 0)]

    text.turn_to("Complete a sentence")
    box = text.find("textarea")
    wait_for(lambda: bars(text) == suggested("To be or not to"))
    box.send_keys(" ")
    wait_for(lambda: bars(text) == suggested("To be or not to "))
    box.send_keys(Keys.BACKSPACE)
    wait_for(lambda: bars(text) == suggested("To be or not to"))
    box.send_keys(Keys.CONTROL, "ax")
    wait_for(lambda: not box.get_attribute("value") and bars(text) == suggested(""))
    box.send_keys(Keys.CONTROL, "v")
    wait_for(lambda: bars(text) == suggested("To be or not to"))
    box.send_keys(" suffer, Romeo")
    wait_for(lambda: bars(text) == suggested("To be or not to suffer, Romeo"))
    _, second, *_ = tab.next_words("To be or not to suffer, Romeo", "word-lstm-plays", 1, 0)
    text.shown("button.confidence-set")[1].send_keys(Keys.ENTER)
    longer = f"To be or not to suffer, Romeo{second}"
    wait_for(lambda: box.get_attribute("value") == longer and bars(text) == suggested(longer))
    text.find("button", "Write on").click()
    wait_for(lambda: len(box.get_attribute("value")) > len(longer))
    assert len(text.shown("button.gallery-item", "Romeo")) >= 3  # an example, and the two texts before this one
    for before in (longer, "To be or not to suffer, Romeo", "To be or not to"):
        text.find("button", "Undo").click()
        wait_for(lambda before=before: box.get_attribute("value") == before and bars(text) == suggested(before))
    text.find("button", "Settings").click()
    text.find("input[type=range]").send_keys(Keys.HOME)
    sharp = tab.next_words("To be or not to", "word-lstm-plays", 0.5, 0)
    wait_for(lambda: f"{100 * max(sharp.values()):.0f}%" in text.find("button.confidence-set").text)
    text.find("button", "Undo").click()
    wait_for(lambda: text.says("There is nothing to undo"))
    text.find("[aria-label=Close]").click()
    text.find("button.gallery-item", "If music").click()
    wait_for(lambda: box.get_attribute("value") == "If music be the")


def test_a_text_is_streamed_until_it_is_cancelled(text, app, monkeypatch):
    tab, drawn = text_tab(app, "Write like Shakespeare"), []
    net = tab.model("word-lstm-plays")

    def slow(*args, **options):
        for piece in type(net).generate(net, *args, **options):
            time.sleep(0.03)
            drawn.append(piece)
            yield piece

    text.turn_to("Write like Shakespeare")
    text.find("button", "Settings").click()
    length = text.find("input[aria-label='number input for Characters to write']")
    set_to(length, "2000", Keys.TAB)
    run, cancel = text.find("button.primary", "Write"), text.find("button", "Cancel")
    with monkeypatch.context() as patched:
        patched.setattr(net, "generate", slow, raising=False)
        assert run.is_enabled() and not cancel.is_enabled()
        text.driver.execute_script("arguments[0].click(); arguments[0].click()", run)  # the second does nothing
        wait_for(lambda: run.text == "Writing ..." and not run.is_enabled() and cancel.is_enabled())
        box = text.find("textarea:disabled")
        seen = {wait_for(lambda n=n: len(v := box.get_attribute("value")) > n and v) for n in (30, 60, 90)}
        assert text.says("Writing ... Words: LSTM, temperature 0.8, seed 0.")
        cancel.click()
        wait_for(lambda: run.text == "Write" and run.is_enabled() and not cancel.is_enabled())
        time.sleep(0.5)  # what was on its way arrives
        done = len(drawn)
        time.sleep(0.3)  # if it went on it would draw 10 more
        assert len(drawn) == done < 400
    last = box.get_attribute("value")
    assert all(last.startswith(so_far) for so_far in seen) and last.startswith("O Romeo, Romeo wherefore")
    set_to(length, "50", Keys.TAB)
    set_to(text.find("input[aria-label='Random seed (same seed, same result)']"), "5", Keys.TAB)
    run.click()
    *_, (whole, made) = tab.write("O Romeo, Romeo wherefore", "word-lstm-plays", 0.8, 50, 0, 1, 5)
    wait_for(lambda: box.get_attribute("value") == whole and text.shown("p", made))
    text.find("label", "New seed each time").click()
    run.click()
    wait_for(lambda: run.is_enabled() and not text.says("seed 5.") and box.get_attribute("value"))
    assert box.get_attribute("value") != whole


RUN = "window.hacked=1"
HOSTILE = f"<img src=x onerror={RUN}> ${{{RUN}}} {{{{{RUN}}}}} `;{RUN};` </p></div><script>"


def unharmed(page: Page) -> bool:
    """Whether nothing of a hostile text has become part of the page."""
    return page.driver.execute_script("return !window.hacked && !document.querySelector('[src=x]')")


def coloured(page: Page) -> str | None:
    """The text that stands in colour, if one does."""
    return page.driver.execute_script("return document.querySelector('p.text')?.innerText")


def test_a_texts_colours_and_nothing_of_it_runs(text, app):
    tab = text_tab(app, "Surprise")
    text.turn_to("Surprise")
    reds = [span.value_of_css_property("background-color") for span in text.shown("p.text span")]
    assert len(reds) > 30 and len(set(reds)) > 1 and all(red.startswith("rgba(239, 68, 68") for red in reds)
    text.find("textarea").send_keys(Keys.CONTROL, "a")
    text.find("textarea").send_keys(HOSTILE)
    for name, title in (("word-lstm-plays", "Words: LSTM"), ("char-lstm-shakespeare", "Characters: LSTM")):
        text.choose("Model", title)
        wait_for(lambda: not text.shown("p.text"))
        text.find("button.primary:enabled", "Show the surprise").click()
        told = tab.surprise(HOSTILE, name)[1]
        wait_for(lambda told=told: text.says(told.partition(" Not in")[0]) and text.says(told[-60:]))
        wait_for(lambda: coloured(text) == HOSTILE)
        assert text.shown("p.text .unknown") and unharmed(text)
    text.find("button.gallery-item").click()
    wait_for(lambda: not text.shown("p.text"))
    text.find("button.primary:enabled", "Show the surprise").click()
    wait_for(lambda: text.shown("p.text", "To be, or not to be"))


def test_nothing_of_an_earlier_text_runs(text):
    text.turn_to("Complete a sentence")
    text.find("textarea").send_keys(Keys.CONTROL, "a")
    text.find("textarea").send_keys(HOSTILE)
    text.find("button", "Write on").click()
    text.find("button.gallery-item", HOSTILE[-40:]).click()
    wait_for(lambda: text.find("textarea").get_attribute("value") == HOSTILE)
    assert unharmed(text)


def test_texts_stand_side_by_side(text, app):
    tab = text_tab(app, "Compare")
    text.turn_to("Compare")
    text.find("label", "1.3").click()
    text.find("button.primary", "Compare").click()
    wait_for(lambda: text.says("That makes 6 texts"))
    text.find("[aria-label=Close]").click()
    wait_for(lambda: text.find("button.primary", "Compare").is_enabled())
    text.find("label", "Characters: LSTM").click()
    text.find("button.primary", "Compare").click()
    names = ["word-lstm-plays", "char-gru512-shakespeare-study"]
    (*boxes, _), *_, (*wanted, _) = tab.compare("If music be the", names, [0.8, 1.3], 400, 0, 1, 0)
    wait_for(lambda: written(text) == wanted)
    assert len({e.rect["y"] for e in text.shown("textarea:disabled")}) == 1
    assert all(text.says(box["label"]) for box in boxes) and text.says("All with seed 0.")
