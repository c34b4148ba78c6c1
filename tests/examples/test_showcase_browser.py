"""Every page of the showcase in Chromium, as somebody sees it who has just opened it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.examples.conftest import FASTAPI
from tests.examples.test_showcase import post
from tests.support.browser import Browser, complaints
from tests.support.servers import Server
from tests.support.waiting import until

Open = Callable[[str], "Page"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with FASTAPI.serve(tmp_path_factory.mktemp("site") / "server.log") as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


class Page:
    """A tab; whatever is asked of it brings it to the front."""

    def __init__(self, chrome: Browser, url: str) -> None:
        chrome.switch_to.new_window("tab")
        self.chrome = chrome
        self.handle = chrome.current_window_handle
        chrome.get(url)

    def front(self) -> Browser:
        self.chrome.switch_to.window(self.handle)
        return self.chrome

    def find(self, selector: str) -> WebElement:
        return self.front().find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)"
        found: list[str] = self.front().execute_script(script, selector)
        return found

    def run(self, script: str) -> Any:
        return self.front().execute_script(script)

    def shows(self, selector: str, expected: list[str]) -> None:
        until(lambda: self.texts(selector) == expected, f"{selector} shows {expected}")

    def is_connected(self) -> None:
        until(lambda: self.find("#status").get_attribute("data-state") == "open", "the page is connected")

    def fits(self) -> bool:
        return bool(self.run("return document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture
def open_page(site: Server, chromium: Browser) -> Iterator[Open]:
    """`open_page(path)`; at the end no page may have complained in its console."""
    first = chromium.current_window_handle
    pages: list[Page] = []

    def open_(path: str) -> Page:
        pages.append(Page(chromium, site.http(path)))
        return pages[-1]

    yield open_
    written = complaints(chromium, site.http("/"))
    for page in pages:
        page.front()
        chromium.close()
    chromium.switch_to.window(first)
    assert not written


def test_the_way_from_the_first_page(open_page: Open) -> None:
    page = open_page("/")
    page.find("header a[href='/showcase/']").click()
    until(lambda: page.run("return location.pathname") == "/showcase/", "the showcase")
    assert len(page.texts(".part")) == 4
    page.find("a.part[href='/showcase/room/']").click()
    until(lambda: page.run("return location.pathname") == "/showcase/room/", "the room's page")
    assert page.texts("nav a[aria-current]") == ["Room"]


def test_the_overview_shows_what_goes_on(open_page: Open) -> None:
    page = open_page("/showcase/")
    page.is_connected()
    until(lambda: page.find("#trip").text.endswith(" ms"), "a round trip is measured")
    assert int(page.find("#pid").text) > 0
    assert {text.split()[0] for text in page.texts("#layers li")} == {
        "analytics",
        "chat",
        "default",
        "notifications",
        "queue",
    }
    until(lambda: int(page.find("#count").text) >= 3, "messages are counted")
    assert page.run(
        "const c = trips; return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x)"
    )


def test_two_people_in_a_room_and_one_in_another(open_page: Open) -> None:
    ada, grace = (open_page(f"/showcase/room/?room=general&name={name}") for name in ("Ada", "Grace"))
    other = open_page("/showcase/room/?room=private&name=Eve")
    for page in (ada, grace, other):
        page.is_connected()
    until(lambda: "Grace has come in" in " ".join(ada.texts("#log .line")), "Ada sees Grace come")
    assert not [text for text in grace.texts("#log .line") if "Grace has come in" in text]

    grace.find("#text").send_keys("Good morn")
    until(lambda: ada.find("#typing").text == "Grace is writing…", "Ada sees that Grace writes")
    grace.find("#text").send_keys("ing <b>all</b>" + Keys.ENTER)
    for page in (ada, grace):
        page.shows("#log .line:not(.system) span", ["GraceGood morning <b>all</b>"])
    assert len(grace.texts("#log .mine")) == 1 and not ada.texts("#log .mine")
    assert ada.find("#typing").text == ""

    grace.find("#room").clear()
    grace.find("#room").send_keys("private" + Keys.ENTER)
    until(lambda: "Grace has left" in " ".join(ada.texts("#log .line")), "Ada sees Grace go")
    until(lambda: "Grace has come in" in " ".join(other.texts("#log .line")), "Eve sees Grace come")
    assert grace.run("return location.search") == "?room=private"
    assert not other.texts("#log .line:not(.system)")


def test_a_room_is_entered_by_its_form(open_page: Open, site: Server) -> None:
    page = open_page("/showcase/room/")
    assert not page.find("#talk").is_displayed()
    page.find("#name").send_keys("Zoë")
    page.find("#room").clear()
    page.find("#room").send_keys("Café 7" + Keys.ENTER)
    page.is_connected()
    until(lambda: page.find("#room-title").text == "Café 7", "the room is entered")
    assert page.find("#me").text == "You are Zoë"
    assert post(site, "rooms/Café 7/announcements", text="Closing soon").status_code == 202
    until(lambda: page.texts("#log .house"), "the house is heard")


def test_four_streams_on_one_page(open_page: Open, site: Server) -> None:
    page = open_page("/showcase/streams/")
    page.is_connected()
    assert page.find("#status").text == "4 of 4 connected"
    page.find("#text").send_keys("To everybody" + Keys.ENTER)
    for stream in ("chat", "reliable"):
        page.shows(f"#{stream} .people span", ["To everybody"])
    assert not page.texts("#notifications .line") and not page.texts("#analytics .line")

    page.find("#outside .primary").click()
    page.shows("#notifications .events span", ["Tea is ready"])
    until(lambda: page.find("#answer").text == "Sent: 202", "the answer is shown")
    for name in ("page_view:/", "page_view:/", "login"):
        post(site, "measurements", name=name, data=1)
    page.shows("#analytics .bars b", ["2", "1"])


def test_jobs_and_their_progress(open_page: Open) -> None:
    page = open_page("/showcase/jobs/")
    page.is_connected()
    page.run("text.value = 'one two two'; seconds.value = 1; start.requestSubmit()")
    until(lambda: page.texts(".job header span")[0].endswith(" %"), "its progress is seen")
    page.shows(".job[data-state=done] .tally li", ["two 2", "one 1"])
    page.run("text.value = '!'; seconds.value = 0; start.requestSubmit()")
    until(lambda: page.texts(".job[data-state=failed] .problem"), "a failure is seen")
    assert page.texts(".job header span") == ["failed", "done"]
    assert not page.find("#no-jobs").is_displayed()


@pytest.mark.parametrize("page", ["", "room/?room=general", "streams/", "jobs/"])
def test_narrow_screens(open_page: Open, page: str, chromium: Browser) -> None:
    opened = open_page(f"/showcase/{page}")
    size = chromium.get_window_size()
    try:
        chromium.set_window_size(500, 800)
        opened.is_connected()
        until(opened.fits, "nothing is wider than the window")
    finally:
        chromium.set_window_size(size["width"], size["height"])
