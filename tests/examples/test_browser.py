"""The example chat in Chromium: people in tabs, a server that goes and comes back, keys, narrow screens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.examples.conftest import DJANGO, EXAMPLES, FASTAPI, Chat, Kind, Person, _running
from tests.support.browser import Browser, complaints
from tests.support.choices import slow_but
from tests.support.environments import environment
from tests.support.processes import Process, free_port
from tests.support.proxy import Proxy
from tests.support.servers import Server
from tests.support.waiting import until, within

Names = Callable[[], str]


@pytest.fixture(scope="module", params=[FASTAPI, DJANGO[0]], ids=lambda kind: kind.name)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    yield from _running(request, request.param, tmp_path_factory.mktemp("site"))


class Tab:
    """One tab of the browser; whatever is asked of it brings it to the front."""

    def __init__(self, chrome: Browser) -> None:
        chrome.switch_to.new_window("tab")
        self.chrome = chrome
        self.handle = chrome.current_window_handle

    def front(self) -> Browser:
        self.chrome.switch_to.window(self.handle)
        return self.chrome

    def open(self, url: str) -> None:
        self.front().get(url)

    def find(self, id: str) -> WebElement:
        return self.front().find_element(By.ID, id)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements, as they are shown."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        found: list[str] = self.front().execute_script(script, selector)
        return found

    def run(self, script: str, *arguments: Any) -> Any:
        return self.front().execute_script(script, *arguments)

    def state(self) -> str | None:
        return self.find("status").get_attribute("data-state")

    def is_connected(self) -> None:
        until(lambda: self.state() == "open", "the page is connected")

    def enter(self, site: Chat, name: str, room: str) -> None:
        """Through the lobby's form, by keyboard."""
        self.open(site.server.http("/"))
        for field, text in (("name", name), ("room", room)):
            self.find(field).clear()
            self.find(field).send_keys(text)
        self.find("room").send_keys(Keys.ENTER)
        until(lambda: self.run("return location.pathname") == f"/rooms/{room}/", "the room's page")
        self.is_connected()
        until(lambda: name in self.run("return me.textContent"), "one's own name")

    def say(self, text: str) -> None:
        self.find("text").send_keys(text + Keys.ENTER)
        until(lambda: self.find("text").get_attribute("value") == "", "the message is sent")

    def heard(self) -> list[str]:
        return self.texts("#log .words")

    def people(self) -> list[str]:
        return [text.split("\n")[-1] for text in self.texts("#people li")]

    def close(self) -> None:
        self.front().close()


@pytest.fixture
def tabs(chromium: Browser) -> Iterator[Callable[[], Tab]]:
    """New tabs, each with storage of its own for the name; closed at the end."""
    first = chromium.current_window_handle
    opened: list[Tab] = []

    def new() -> Tab:
        opened.append(Tab(chromium))
        return opened[-1]

    yield new
    for tab in opened:
        if tab.handle in chromium.window_handles:
            if tab.run("return location.protocol").startswith("http"):
                tab.run("localStorage.clear()")
            tab.close()
    chromium.switch_to.window(first)


def test_two_in_one_room_and_one_in_another(
    site: Chat, chromium: Browser, tabs: Callable[[], Tab], free_name: Names
) -> None:
    room, other_room = free_name(), free_name()
    ada, grace, alan = tabs(), tabs(), tabs()
    ada.enter(site, "Ada", room)
    alan.enter(site, "Alan", other_room)
    grace.enter(site, "Grace", room)
    until(lambda: "Grace came in" in ada.find("log").text, "Ada sees Grace come in")
    until(lambda: len(ada.people()) == len(grace.people()) == 2, "both see two people")
    until(lambda: len(alan.people()) == 1, "Alan sees himself")

    ada.say("<img src=x onerror=alert(1)> & <b>hello</b>")
    grace.say("hello Ada")
    said = ["<img src=x onerror=alert(1)> & <b>hello</b>", "hello Ada"]
    until(lambda: ada.heard() == said and grace.heard() == said, "both read both, once each, as text")
    assert ada.run("return document.querySelectorAll('#log img, #log b').length") == 0
    assert alan.heard() == []
    until(
        lambda: any(room in text for text in alan.texts("#rooms li")), "Alan sees the other room in the list"
    )
    assert not any(room in text for text in ada.texts("#rooms li"))

    grace.close()
    until(lambda: "Grace left" in ada.find("log").text, "Ada sees Grace leave")
    until(lambda: len(ada.people()) == 1, "one person is left")
    assert not complaints(chromium, site.server.http("/"), severe=True)  # no exception, no missing file


def test_the_keys(site: Chat, tabs: Callable[[], Tab], free_name: Names) -> None:
    tab = tabs()
    tab.enter(site, "Ada", free_name())
    assert tab.run("return document.activeElement.id") == "text"
    tab.find("text").send_keys("one" + Keys.SHIFT + Keys.ENTER + Keys.NULL + "two")
    assert tab.heard() == []
    tab.find("text").send_keys(Keys.ENTER)
    until(lambda: tab.heard() == ["one\ntwo"], "both lines in one message")
    tab.find("text").send_keys("   " + Keys.ENTER)
    tab.find("text").clear()
    tab.say("three")
    until(lambda: tab.heard() == ["one\ntwo", "three"], "nothing was sent for the blanks")


def test_a_link_to_a_room_asks_for_a_name_first(
    site: Chat, tabs: Callable[[], Tab], free_name: Names
) -> None:
    tab = tabs()
    tab.open(site.server.http("/"))
    tab.run("localStorage.clear(); sessionStorage.clear()")
    tab.open(site.server.http(f"/rooms/{free_name()}/"))
    until(lambda: tab.find("naming").is_displayed(), "the question for a name")
    assert tab.run("return document.activeElement.id") == "name"
    tab.find("name").send_keys("Zoë" + Keys.ENTER)
    tab.is_connected()
    until(lambda: tab.find("me").text == "Zoë", "the name")
    tab.find("rename").click()
    tab.find("name").clear()
    tab.find("name").send_keys("Zoë Q" + Keys.ENTER)
    until(lambda: tab.find("me").text == "Zoë Q", "the new name")
    until(lambda: len(tab.people()) == 1, "the old name is gone")


def test_several_messages_while_the_tab_is_hidden_are_counted(
    site: Chat, tabs: Callable[[], Tab], free_name: Names
) -> None:
    room = free_name()
    ada = tabs()
    ada.enter(site, "Ada", room)
    ada.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    with Person(site.server, room, "Grace") as grace:
        grace.says("one")
        grace.says("two")
        until(lambda: ada.chrome.title.startswith("(2) "), "the count in the title")


WIDTHS, SCHEMES = (320, 390, 768, 1280), ("light", "dark")
QUICK_SCREENS = ((320, "light"), (1280, "dark"))
SCREENS = [*itertools.product(WIDTHS, SCHEMES)]


@pytest.mark.parametrize(("width", "scheme"), slow_but(QUICK_SCREENS, SCREENS, several=True))
def test_nothing_is_cut_off_at_any_width(
    site: Chat, tabs: Callable[[], Tab], free_name: Names, width: int, scheme: str
) -> None:
    tab = tabs()
    room = (free_name() + "-a-name-as-long-as-may-be-for-a-room")[:40]
    with _screen(tab, width, scheme), Person(site.server, room, "W" * 24) as other:
        tab.enter(site, "Ada", room)
        other.says("https://example.com/" + "x" * 300)
        until(lambda: len(tab.heard()) == 1, "the long message")
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert tab.run(wide) == 0
        for id in ("text", "send", "log"):
            assert tab.run(INSIDE, tab.find(id)), f"#{id} is within the screen"
        colours = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        ink, paper = (sum(map(int, c[4:-1].split(",")[:3])) for c in tab.run(colours))
        assert (ink < paper) == (scheme == "light")
        toggle = tab.find("side-toggle")
        assert toggle.is_displayed() == (width < 832)
        if toggle.is_displayed():
            assert not tab.find("side").is_displayed()
            toggle.click()
            until(lambda: tab.run(INSIDE, tab.find("side")), "the list of people")
            tab.find("text").send_keys(Keys.ESCAPE)
            until(lambda: not tab.find("side").is_displayed(), "the list is put away")
        tab.open(site.server.http("/"))
        tab.is_connected()
        until(lambda: any(room in text for text in tab.texts("#rooms li")), "the room in the lobby")
        assert tab.run(wide) == 0


INSIDE = """
const box = arguments[0].getBoundingClientRect();
return box.width > 0 && box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight + 1;
"""


@contextmanager
def _screen(tab: Tab, width: int, scheme: str) -> Iterator[None]:
    chrome = tab.front()
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    yield
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_everything_that_can_be_used_has_a_name(
    site: Chat, tabs: Callable[[], Tab], free_name: Names
) -> None:
    tab = tabs()
    tab.enter(site, "Ada", free_name())
    nameless = """
        const usable = document.querySelectorAll("input, textarea, button, a, dialog, aside, section, ol");
        const labelled = (e) => e.labels?.length || e.ariaLabel || e.ariaLabelledByElements;
        const named = (e) => labelled(e) || e.textContent.trim();
        return [...usable].filter((e) => !named(e)).map((e) => e.outerHTML);
    """
    assert tab.run(nameless) == []
    tab.open(site.server.http("/"))
    assert tab.run(nameless) == []
    assert tab.run("return document.documentElement.lang") == "en"


def test_a_room_with_letters_that_no_group_may_have(tabs: Callable[[], Tab], site: Chat) -> None:
    tab = tabs()
    tab.open(site.server.http("/"))
    tab.find("name").clear()
    tab.find("name").send_keys("Ada")
    tab.find("room").send_keys("Café Zürich" + Keys.ENTER)
    if site.kind is FASTAPI:  # any name will do
        until(lambda: tab.run("return location.pathname") == "/rooms/Caf%C3%A9%20Z%C3%BCrich/", "the room")
    else:  # a name that will do is offered
        until(lambda: "How about “cafe-zurich”?" in " ".join(tab.texts("[role=alert]")), "the suggestion")
        assert tab.run("return document.activeElement.id") == "room"
        assert tab.find("name").get_attribute("value") == "Ada"
        tab.find("room").send_keys(Keys.ENTER)
        until(lambda: tab.run("return location.pathname") == "/rooms/cafe-zurich/", "the room")
    tab.is_connected()


@pytest.mark.parametrize("kind", [FASTAPI, DJANGO[0]], ids=lambda kind: kind.name)
def test_a_server_that_comes_back_is_found_again(
    kind: Kind, tabs: Callable[[], Tab], tmp_path: Path, free_name: Names
) -> None:
    port = free_port()
    tab = tabs()
    with _on_port(kind, port, tmp_path / "first.log") as server:
        tab.enter(Chat(kind, Server(server, port)), "Ada", free_name())
        tab.say("before")
        until(lambda: tab.heard() == ["before"], "the message")
    until(lambda: tab.find("status").text == "Coming back…", "the page says that the connection is lost")
    until(lambda: tab.find("retry").is_displayed(), "the page offers to try now")
    tab.say("meanwhile")
    with _on_port(kind, port, tmp_path / "second.log"):
        tab.run("document.getElementById('retry').click()")
        # This server does not have the connection.
        until(lambda: "Back again" in tab.find("log").text, "the page says so", deadline_s=30)
        tab.is_connected()
        tab.say("after")
        until(lambda: tab.heard() == ["before", "meanwhile", "after"], "what was kept has been sent")


@pytest.mark.parametrize("kind", [FASTAPI, DJANGO[0]], ids=lambda kind: kind.name)
def test_a_page_that_was_away_has_missed_nothing(
    kind: Kind, tabs: Callable[[], Tab], tmp_path: Path, free_name: Names
) -> None:
    room, tab = free_name(), tabs()
    with kind.serve(tmp_path / "log") as server, Proxy(server.port) as proxy:
        tab.enter(Chat(kind, Server(server.process, proxy.port)), "Ada", room)
        with Person(server, room, "Grace") as grace:
            until(lambda: "Grace came in" in tab.find("log").text, "Grace is there")
            proxy.refuse()
            proxy.cut()
            until(lambda: tab.find("status").text == "Coming back…", "the page says so")
            assert tab.run("return document.getElementById('status').role") == "status"
            for number in range(10):
                grace.says(f"meanwhile {number}")
                assert grace.hears() == ("said", "Grace", f"meanwhile {number}")
            tab.say("from away")
            proxy.accept()
            tab.run("document.getElementById('retry').click()")
            until(lambda: tab.find("status").text == "Caught up", "the page says so")
            said = [*(f"meanwhile {number}" for number in range(10)), "from away"]
            assert eventually(tab.heard, said) == said
            until(lambda: tab.find("status").text == "Connected", "the page is quiet again")
            assert not tab.find("retry").is_displayed()
            assert "Back again" not in tab.find("log").text and len(tab.people()) == 2
            assert tab.find("log").text.count("came in") == 1 and "left" not in tab.find("log").text


def eventually(look: Callable[[], list[str]], wanted: list[str]) -> list[str]:
    """What `look()` returns when it is what is wanted, or at the end."""
    within(15.0, lambda: look() == wanted)
    return look()


@contextmanager
def _on_port(kind: Kind, port: int, log: Path) -> Iterator[Process]:
    where = environment(kind.environment)
    command = [where.path(kind.command[0]), *kind.command[1:], "--port", str(port)]
    with Process(command, cwd=EXAMPLES / kind.folder, log=log) as process:
        process.wait_listening(port)
        yield process
