"""The site in a browser: wide and narrow, light and dark, for screen readers, and without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By

from tests.docs.axe import axe_source, violations
from tests.docs.pages import BLOCKS
from tests.docs.site import Site
from tests.support.browser import Browser, browser
from tests.support.choices import slow_but
from tests.support.waiting import until

WIDE, NARROW = (1300, 900), (390, 800)
KINDS = (
    "index.html",  # the first page, with tables
    "start.html",  # code
    "concepts.html",  # diagrams
    "performance.html",  # charts
    "differences.html",  # folds
    "reference/routing.html",  # docstrings
)
"""A page of each kind; test_every_page_… has all."""
LOOKS = ((WIDE, "light"), (NARROW, "dark"))
ALL_LOOKS = ((WIDE, "light"), (NARROW, "light"), (WIDE, "dark"), (NARROW, "dark"))

BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
DRAWN_THEME = "return document.querySelector('[data-md-component=palette] label:not([hidden])').title"

BROKEN_WORDS = """
const broken = [];
document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
for (const cell of document.querySelectorAll("table :is(th, td)")) {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/[\\p{L}\\p{N}_]+/gu)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) broken.push(word[0]);
    }
  }
}
return broken;
"""
"""The words in tables that stand on more than one line."""

Look = tuple[tuple[int, int], str]


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with site.served() as address:
        yield address


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that writes down what it fetches."""
    with browser(tmp_path_factory.mktemp("reader"), logs={"performance": "ALL"}) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def without_javascript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    preferences = {"profile.managed_default_content_settings.javascript": 2}
    with browser(tmp_path_factory.mktemp("plain"), preferences=preferences) as chrome:
        yield chrome


def show(page: Browser, url: str, size: tuple[int, int], scheme: str = "light") -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.get(url)
    if page.execute_script("return localStorage.length"):
        page.execute_script("localStorage.clear()")  # where the theme keeps the colours of the last visit
        page.get(url)


def complaints(
    page: Browser, axe: str, address: str, names: Iterable[str], looks: Sequence[Look]
) -> dict[str, list[str]]:
    """What axe finds on pages, and pages that are wider than their window."""
    found = {}
    for name in names:
        for size, scheme in looks:
            show(page, address + name, size, scheme)
            wrong = violations(page, axe)
            if page.execute_script("return document.documentElement.scrollWidth > innerWidth"):
                wrong.append("the page is wider than the window")
            if wrong:
                found[f"{name} {size[0]} {scheme}"] = wrong
    return found


@pytest.mark.parametrize("name", slow_but(("index.html", "concepts.html", "differences.html"), KINDS))
def test_a_page_of_each_kind_is_accessible(reader: Browser, address: str, name: str) -> None:
    assert complaints(reader, axe_source(), address, [name], LOOKS) == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("look", ALL_LOOKS, ids=str)
def test_every_page_is_accessible(reader: Browser, address: str, site: Site, look: Look) -> None:
    assert complaints(reader, axe_source(), address, site.pages, [look]) == {}


def test_no_other_host_is_asked(reader: Browser, address: str) -> None:
    log: Any = reader  # Selenium's get_log has no types
    log.get_log("performance")
    for name in KINDS:
        show(reader, address + name, WIDE)
    here = urlsplit(address).netloc
    asked = set()
    for entry in log.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            asked.add(message["params"].get("request", message["params"])["url"])
    assert asked
    assert {url for url in asked if urlsplit(url).netloc not in ("", here)} == set()


def test_the_search_finds_a_page(reader: Browser, address: str) -> None:
    show(reader, address + "index.html", WIDE)
    field = reader.find_element(By.CSS_SELECTOR, "input.md-search__input")
    reader.execute_script("document.querySelector('#__search').checked = true")
    until(field.is_displayed, "the search is open")
    field.send_keys("nginx")
    found = "return [...document.querySelectorAll('.md-search-result__link')].map((one) => one.pathname)"
    until(lambda: "/howto/nginx.html" in reader.execute_script(found), "the page is found")


def copied(page: Browser, heading: str, number: int = 0) -> str:
    """What the copy button of a block of code below a heading puts into the clipboard."""
    blocks = f"//*[@id='{heading}']/following::div[@class='highlight'][{number + 1}]"
    button = page.find_element(By.XPATH, blocks).find_element(By.CSS_SELECTOR, "button.copy")
    assert button.text == "Copy"
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    return str(page.execute_async_script("navigator.clipboard.readText().then(arguments[0])"))


def test_code_is_copied(reader: Browser, address: str) -> None:
    permissions = {"origin": address, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    reader.execute_cdp_cmd("Browser.grantPermissions", permissions)
    show(reader, address + "start.html", WIDE)
    (main,) = (block for block in BLOCKS if block.page == "start" and "class RoomConsumer" in block.text)
    assert copied(reader, "1-the-application") == main.text.rstrip()
    assert copied(reader, "3-run-it") == "channels-compat runserver main:app"  # without the prompt
    show(reader, address + "porting.html", NARROW)
    server = next(block for block in BLOCKS if block.language == "console" and "Serving" in block.text)
    assert "$ " in server.text
    buttons = reader.find_elements(By.CSS_SELECTOR, "button.copy")
    blocks = reader.find_elements(By.CSS_SELECTOR, "article div.highlight")
    assert len(buttons) == len(blocks) == len([block for block in BLOCKS if block.page == "porting"])


def test_the_theme_is_switched_and_kept(reader: Browser, address: str) -> None:
    show(reader, address + "index.html", WIDE, "light")
    light = reader.execute_script(BACKGROUND)
    for title, is_light in (("light", True), ("dark", False), ("automatic", True), ("light", True)):
        reader.find_element(By.CSS_SELECTOR, "[data-md-component=palette] label:not([hidden])").click()
        assert f"Theme: {title}" in reader.execute_script(DRAWN_THEME)
        assert (reader.execute_script(BACKGROUND) == light) is is_light
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    reader.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    reader.get(address + "start.html")  # the next page, on a machine that is dark by now
    assert "Theme: light" in reader.execute_script(DRAWN_THEME)
    assert reader.execute_script(BACKGROUND) == light


@pytest.mark.slow
def test_tables_break_no_words(reader: Browser, address: str, site: Site) -> None:
    pages = [name for name in site.pages if "<table" in (site.folder / name).read_text("utf-8")]
    assert {"index.html", "performance.html", "reference/settings.html"} <= set(pages)
    found = {}
    for name in pages:
        show(reader, address + name, NARROW)
        if broken := reader.execute_script(BROKEN_WORDS):
            found[name] = broken
    assert found == {}


@pytest.mark.parametrize("size", (WIDE, NARROW), ids=("wide", "narrow"))
def test_readable_without_javascript(
    without_javascript: Browser, address: str, size: tuple[int, int]
) -> None:
    page = without_javascript
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.get(address + "index.html")
    assert page.find_element(By.TAG_NAME, "h1").text == "channels-compat"
    if size == NARROW:  # the menu is a checkbox and its label
        page.find_element(By.CSS_SELECTOR, "label.md-header__button[for=__drawer]").click()
        menu = page.find_element(By.CSS_SELECTOR, ".md-sidebar--primary")
        until(lambda: menu.rect["x"] >= 0, "the menu has slid in")
    link = page.find_element(By.CSS_SELECTOR, "nav.md-nav--primary a[href='start.html']")
    until(link.is_displayed, "the menu is there")
    link.click()
    until(lambda: page.current_url.endswith("/start.html"), "the link is followed")
    assert "AsyncJsonWebsocketConsumer" in page.find_element(By.TAG_NAME, "article").text
    scripted = page.find_elements(By.CSS_SELECTOR, "button.copy, [data-md-component=palette] label")
    assert scripted and not any(one.is_displayed() for one in scripted), "what needs a script is not shown"
    page.get(address + "differences.html")
    fold = page.find_element(By.TAG_NAME, "summary")
    table = page.find_element(By.CSS_SELECTOR, "details table")
    assert not table.is_displayed()
    fold.click()
    until(table.is_displayed, "the fold is open")
    page.get(address + "concepts.html")
    widths = [image.size["width"] for image in page.find_elements(By.CSS_SELECTOR, "article img")]
    assert len(widths) == 4 and min(widths) > 200


@pytest.mark.slow
def test_screenshots(reader: Browser, address: str, tmp_path: Path) -> None:
    """For eyes: the folder is printed with -s."""
    for name in KINDS:
        for size in (WIDE, NARROW):
            show(reader, address + name, size)
            shot = tmp_path / f"{name.replace('/', '-')}-{size[0]}.png"
            assert reader.save_screenshot(str(shot)) and shot.stat().st_size > 10_000
    print(tmp_path)
