"""What holds for each tab of each theme, on a phone, a laptop and a large screen, in light and dark colours."""

import json
import time
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys
from test_browser import PANEL, WIDE, Page, chromium, wait_for
from test_spaces import all_tabs, served

SCREENS = {"phone": (390, 844, True), "laptop": (1280, 900, False), "large": (1920, 1080, False)}
WIDEST = 1400  # pixels: longer lines are hard to read
# result pictures, plots and texts; not the examples, nor the visitor's own
ALIVE = f"""{PANEL} return all('.image-frame img, .thumbnail-item img').some(
    img => img.naturalWidth && !img.closest('.upload-container, .gallery:not(.gallery-container)'))
|| all('canvas.marks, .vega-embed svg, [data-testid$=-confidence-set], button.confidence-set, p.text span').length > 0
|| all('textarea').some(area => area.disabled && area.value)"""
PLAIN = f"{PANEL} return all('img').filter(img => !img.alt).map(img => img.outerHTML.slice(0, 200))"
# controls by what they are, and those among them that no key reaches
UNREACHED = f"""{PANEL} const controls = all(`button, a[href], input, textarea, select, summary, [role=slider]`);
return controls.filter(e => !e.disabled && e.type !== 'file' && e.tabIndex < 0).map(e => e.outerHTML.slice(0, 200))"""
NAMELESS = f"""{PANEL} return all('button, input, textarea, select').filter(e => e.type !== 'file' && !(
    e.ariaLabel || e.getAttribute('aria-labelledby') || e.title || e.innerText.trim() || e.labels?.length
    || e.querySelector('img[alt]:not([alt=""])'))).map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with all_tabs(tmp_path_factory) as app:
        driver = chromium()
        with served(app) as url:
            page = Page(driver, url)
            page.tabs = [(name.capitalize(), tab.TITLE) for name, theme in app.themes.items() for tab in theme.TABS]
            yield page
            driver.quit()


def look(page: Page, screen: str, dark: bool) -> None:
    """Load the page on a screen, in colours."""
    width, height, phone = SCREENS[screen]
    cdp = page.driver.execute_cdp_cmd
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    cdp("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    cdp("Emulation.setEmulatedMedia", {"features": [scheme]})
    page.driver.get(page.url)


@pytest.mark.parametrize(("screen", "dark"), [("phone", True), ("laptop", False), ("large", True)])
def test_each_tab_on_each_screen(page, screen, dark):
    look(page, screen, dark)
    wrong, theme = [], None
    for name, tab in page.tabs:
        if name != theme:
            page.turn_to(name)
            theme = name
        page.turn_to(tab)
        try:
            wait_for(lambda: page.driver.execute_script(ALIVE), 5)
        except AssertionError:
            wrong.append(f"{name}, {tab}: shows nothing")
        time.sleep(0.1)  # for what follows what is seen: names of pictures
        for what, script in {"no alt": PLAIN, "wide": WIDE, "no key": UNREACHED, "no name": NAMELESS}.items():
            wrong += [f"{name}, {tab}: {what}: {found}" for found in page.driver.execute_script(script)]
    assert (page.find("body").get_attribute("class") == "dark") == dark
    assert page.find("main").rect["width"] <= WIDEST
    assert not wrong, "\n".join(wrong)
    severe = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
    messages = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))} == {"127.0.0.1"}


def test_the_first_result_is_there_soon(page):
    look(page, "laptop", False)
    start = time.monotonic()
    wait_for(lambda: page.driver.execute_script(ALIVE), 10)
    assert time.monotonic() - start < 5  # 2 where nothing else runs


def test_the_keyboard_turns_tabs_and_opens_the_list_of_models(page):
    look(page, "laptop", False)
    page.turn_to("Pixels")
    tab = page.find("[role=tab]", "Vision")
    tab.send_keys(Keys.ENTER)
    wait_for(lambda: tab.get_attribute("aria-selected") == "true")
    page.find("summary", "models").send_keys(Keys.ENTER)
    assert len(page.shown(".pitch li a")) == 2
    page.find("summary", "models").send_keys(Keys.TAB)
    focused = page.driver.switch_to.active_element
    assert focused.get_attribute("href").startswith("https://huggingface.co/")
    assert focused.value_of_css_property("outline-style") == "solid"


def test_pictures_are_enlarged_without_blur_and_captions_are_whole(page):
    look(page, "phone", False)
    page.turn_to("Pixels")
    page.turn_to("Sample")
    pictures = wait_for(lambda: page.shown(".thumbnail-item img"))
    assert {picture.value_of_css_property("image-rendering") for picture in pictures} == {"pixelated"}
    cut = (
        "return [...document.querySelectorAll('.caption-label')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert page.driver.execute_script(cut) == 0
    for caption in page.shown(".caption-label"):
        picture = caption.find_element("xpath", "preceding-sibling::img")
        assert caption.rect["y"] >= picture.rect["y"] + picture.rect["height"] - 1
    label = page.find("label.float", "Samples").rect
    assert label["y"] + label["height"] <= min(picture.rect["y"] for picture in pictures) + 1


def test_our_fonts_are_there(page):
    look(page, "laptop", False)
    page.find("h1")
    loaded = "return [...document.fonts].filter(f => f.status === 'loaded').map(f => f.family.replaceAll('\"', ''))"
    wait_for(lambda: {"Source Sans Pro", "IBM Plex Mono"} <= set(page.driver.execute_script(loaded)))


def test_examples_are_named_and_numbered(page):
    look(page, "laptop", False)
    page.turn_to("Vision")
    page.turn_to("Compare")
    pictures = page.shown(".gallery-item img")
    wait_for(lambda: pictures[0].get_attribute("alt"))
    names = [picture.get_attribute("alt") for picture in pictures]
    assert [name.rpartition(", ")[2] for name in names] == [f"{i} of 10" for i in range(1, 11)]
    assert {name.rpartition(", ")[0] for name in names} == {"Examples from CIFAR-10, not used in training"}
    icon = page.find(".masthead img")
    assert icon.get_attribute("alt") == ""  # the title beside it says it
