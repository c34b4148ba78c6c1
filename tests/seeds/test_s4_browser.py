"""S4-61 in Chromium: the chat client over two servers, and the manager's live status page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.windows import DEADLINE_S
from tests.seeds.s4 import EXAMPLE, Person, seed_project, served_app
from tests.support.browser import Browser, complaints
from tests.support.servers import Server
from tests.support.waiting import until

Names = Callable[[], str]


class Tab:
    """A browser tab with somebody in the chat."""

    def __init__(self, chrome: Browser, url: str) -> None:
        chrome.switch_to.new_window("tab")
        self.chrome, self.handle, self.url = chrome, chrome.current_window_handle, url
        self.outlives_its_server = False
        """What the page asks of its server may be refused."""
        chrome.get(url)

    def front(self) -> Browser:
        self.chrome.switch_to.window(self.handle)
        return self.chrome

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())"
        found: list[str] = self.front().execute_script(script, selector)
        return found

    def shows(self, selector: str, text: str) -> None:
        until(
            lambda: any(text in shown for shown in self.texts(selector)),
            f"{text!r} in {selector}; there is {self.texts(selector)}",
            deadline_s=DEADLINE_S,
        )

    def type(self, id: str, text: str) -> None:
        self.front().find_element(By.ID, id).send_keys(text)

    def click(self, id: str) -> None:
        self.front().find_element(By.ID, id).click()

    def enters(self, name: str) -> None:
        self.type("name", name + Keys.ENTER)
        self.shows("#state", f"Connected as {name}")

    def joins(self, room: str) -> None:
        self.type("room", room + Keys.ENTER)
        self.shows("#title", room)

    def says(self, text: str) -> None:
        self.type("text", text + Keys.ENTER)

    def close(self) -> None:
        self.front().close()


@pytest.fixture
def tabs(chromium: Browser) -> Iterator[Callable[[str], Tab]]:
    """`tabs(url)` opens one; at the end they are closed, and nothing may have gone wrong in any."""
    first, opened = chromium.current_window_handle, []

    def open_tab(url: str) -> Tab:
        opened.append(Tab(chromium, url))
        return opened[-1]

    yield open_tab
    for tab in opened:
        tab.close()
    chromium.switch_to.window(first)
    errors = complaints(chromium, *(tab.url for tab in opened), severe=True)
    fine = ["WebSocket", *["ERR_CONNECTION_REFUSED" for tab in opened if tab.outlives_its_server]]
    assert [error for error in errors if not any(word in error for word in fine)] == []


@pytest.fixture(scope="module")
def pair(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """The example app of this project on two servers."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {
        "BACKEND_TYPE": "redis",
        "REDIS_CHANNEL_PREFIX": "browser:",
        "CHAT_DATABASE": str(folder / "chat.sqlite3"),
        "CHAT_DEBUG": "1",
        "WS_HEARTBEAT_INTERVAL": "1",
    }
    with (
        served_app(EXAMPLE, folder / "one.log", redis_url, SERVER_INSTANCE_ID="one", **settings) as one,
        served_app(EXAMPLE, folder / "two.log", redis_url, SERVER_INSTANCE_ID="two", **settings) as two,
    ):
        yield one, two
    for log in ("one.log", "two.log"):
        assert "Traceback" not in (folder / log).read_text()


def test_S4_61_the_chat_client_over_two_servers(
    tabs: Callable[[str], Tab], pair: tuple[Server, Server], free_name: Names
) -> None:
    room, ann, bob = "café " + free_name(), free_name(), free_name()
    a = tabs(pair[0].http("/"))
    a.enters(ann)
    a.joins(room)
    a.says("first")
    a.shows("#log .mine", "first")
    b = tabs(pair[1].http("/"))
    b.enters(bob)
    b.shows("#open li", room)  # listed by the other server
    b.joins(room)
    assert room not in " ".join(b.texts("#open li"))  # it is one of his own now
    b.shows("#log .said", "first")  # history
    a.shows("#log .note", f"{bob} joined")
    a.shows("#people li", bob)
    b.type("text", "wri")
    a.shows("#typing", f"{bob} is typing")
    b.says("ting")
    a.shows("#log .said", "writing")
    until(lambda: a.texts("#typing") == [""], "no longer typing", deadline_s=DEADLINE_S)
    b.says(f"/w {ann} psst")
    a.shows("#log .private", "psst")
    b.shows("#log .private", f"You to {ann}")
    b.says("<img src=x onerror=document.title='owned'>")
    a.shows("#log .said", "<img src=x onerror")
    assert a.front().title == "Chat"
    b.click("leave")
    a.shows("#log .note", f"{bob} left")
    b.shows("#title", "No room yet")


def test_the_client_answers_pings_and_comes_back_after_a_restart(
    tabs: Callable[[str], Tab], redis_url: str, tmp_path: Path, free_name: Names
) -> None:
    project = seed_project(tmp_path)
    name, room = free_name(), free_name()
    settings = {"WS_HEARTBEAT_INTERVAL": "1", "WS_HEARTBEAT_TIMEOUT": "5"}
    with served_app(project, tmp_path / "one.log", redis_url, **settings) as server:
        tab = tabs(server.http("/"))
        tab.enters(name)
        tab.joins(room)
        with Person(server, free_name()) as other:
            # Longer than the timeout: who answers no ping is closed, the browser is not.
            until(
                lambda: _closed(other),
                "the other one, who answers no pings, is closed",
                deadline_s=DEADLINE_S,
            )
        assert tab.texts("#state") == [f"Connected as {name}"]
        port = server.port
        script = "window.before = performance.now(); return location.port"
        assert tab.front().execute_script(script) == str(port)
        tab.outlives_its_server = True
    tab.shows("#state", "Connection lost")


def _closed(person: Person) -> bool:
    try:
        person.connection.recv(0.1)
    except TimeoutError:
        return False
    except Exception:  # noqa: BLE001 - whichever way the library says that it is closed
        return person.close_code == 1011
    return False


def test_the_live_status_page(
    tabs: Callable[[str], Tab], pair: tuple[Server, Server], free_name: Names
) -> None:
    page = tabs(pair[0].http("/status/live/"))
    page.shows("#state", "Live")
    page.shows("#seen", "2 processes")
    room = free_name()
    with Person(pair[0], free_name()) as one, Person(pair[1], free_name()) as two:
        one.joins(room)
        two.joins(room)
        until(lambda: page.texts("#plot-sockets") == ["2"], "two connections", deadline_s=DEADLINE_S)
        page.shows("#groups tr", room)
        until(lambda: len(page.texts("#processes tr")) == 2, "both servers", deadline_s=DEADLINE_S)
        until(
            lambda: (
                page.front().execute_script("return document.querySelectorAll('path.line[d*=L]').length") == 6
            ),
            "the plots are drawn",
            deadline_s=DEADLINE_S,
        )
        one.hear("user_joined")
        for _ in range(5):
            one.does("ping")
            one.hear("pong")
    until(lambda: page.texts("#plot-sockets") == ["0"], "they have left", deadline_s=DEADLINE_S)
    page.shows("#no-groups", "No group has members")


def test_the_live_page_says_when_it_is_not_live(
    tabs: Callable[[str], Tab], redis_url: str, tmp_path: Path
) -> None:
    with served_app(EXAMPLE, tmp_path / "one.log", redis_url, CHAT_DEBUG="1") as server:
        page = tabs(server.http("/status/live/"))
        page.shows("#state", "Live")
        page.outlives_its_server = True
    page.shows("#state", "Not connected")


def test_the_client_on_a_narrow_screen(
    tabs: Callable[[str], Tab], pair: tuple[Server, Server], free_name: Names
) -> None:
    tab = tabs(pair[0].http("/"))
    chrome = tab.front()
    chrome.set_window_size(400, 800)
    try:
        tab.enters(free_name())
        tab.joins(free_name())
        wide: Any = chrome.execute_script("return document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        below: Any = chrome.execute_script(
            "return document.getElementById('text').getBoundingClientRect().bottom - innerHeight"
        )
        assert below <= 0
    finally:
        chrome.set_window_size(1200, 900)


def test_the_live_page_on_a_narrow_screen(tabs: Callable[[str], Tab], pair: tuple[Server, Server]) -> None:
    page = tabs(pair[0].http("/status/live/"))
    chrome = page.front()
    chrome.set_window_size(400, 800)
    try:
        page.shows("#state", "Live")
        until(lambda: page.texts("#processes td"), "the table is filled", deadline_s=DEADLINE_S)
        wide: Any = chrome.execute_script("return document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
    finally:
        chrome.set_window_size(1200, 900)
