"""The live page in Chromium: what it shows, by keyboard, on a narrow screen, under names that are markup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser, complaints
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import Server, served
from tests.support.waiting import until

MARKUP = "<img src=x onerror=document.title='pwned'>"


@pytest.fixture(scope="module")
def server(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [
        *(bare.path("uvicorn"), "tests.observe.live_app:application", "--host", "127.0.0.1"),
        *("--port", "{port}", "--log-level", "warning"),
    ]
    with served(command, cwd=REPO, log=tmp_path_factory.mktemp("live") / "log") as server:
        yield server


@pytest.fixture
def page(server: Server, chromium: Browser) -> Iterator[Browser]:
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    chromium.get(server.http("/live/live.css"))  # a cookie is set where a page is
    chromium.add_cookie({"name": "session", "value": "of ada"})
    complaints(chromium, server.http("/"))
    chromium.get(server.http("/live/"))
    shows(chromium, "#state", "Live")
    yield chromium
    found = complaints(chromium, server.http("/"))
    chromium.delete_all_cookies()
    chromium.close()
    chromium.switch_to.window(first)
    assert found == []


def texts(chrome: Browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())"
    found: list[str] = chrome.execute_script(script, selector)
    return found


def shows(chrome: Browser, selector: str, text: str) -> None:
    until(
        lambda: any(text in one for one in texts(chrome, selector)),
        f"{text!r} in {selector}; there is {texts(chrome, selector)}",
    )


def room(server: Server, user: str, *groups: str) -> Client:
    return Client(server, f"/room?user={user}&groups={','.join(groups)}", origin=None)


def test_it_shows_what_there_is(server: Server, page: Browser) -> None:
    with room(server, "7", "lobby") as one, room(server, "8", "lobby", "other"):
        until(lambda: texts(page, "#plot-sockets") == ["2"], "two sockets")
        shows(page, "#groups tr", "lobby")
        one.send_json({"group": "lobby"})
        shows(page, "#layers tr", "default")
        assert "this process alone" in texts(page, "#seen")[0]
    shows(page, "#no-groups", "No group has members")


def test_by_keyboard_a_group_is_watched_and_closed(server: Server, page: Browser) -> None:
    """Names and messages that are markup stay text."""
    with room(server, MARKUP.replace(" ", "%20").replace("'", "%27"), "watched") as one:
        shows(page, "#groups tr", "watched")

        def press(*keys: str) -> None:
            page.switch_to.active_element.send_keys(*keys)

        page.find_element(By.ID, "name").send_keys("watched")
        page.execute_script("document.getElementById('kind').value = 'group'")
        press(Keys.ENTER)
        shows(page, "#found", "1 socket of group “watched”")
        shows(page, "#people", "Only this process was asked.")
        shows(page, "#result td", MARKUP)
        page.find_element(By.ID, "watch").send_keys(Keys.ENTER)
        shows(page, "#watched", "watched")

        def seen() -> bool:
            one.send_json({"group": "watched", "text": MARKUP, "password": "hunter2"})
            return any(MARKUP in text for text in texts(page, "#messages li"))

        until(seen, "the message is shown")
        assert not any("hunter2" in text for text in texts(page, "#messages li"))
        page.find_element(By.ID, "stop").send_keys(Keys.ENTER)
        dialog = page.find_element(By.ID, "confirm")
        page.find_element(By.ID, "close-all").send_keys(Keys.ENTER)
        until(dialog.is_displayed, "there is a question")
        assert texts(page, "#question") == ["Close 1 socket of group “watched”? Only this process was asked."]
        press(Keys.ESCAPE)
        until(lambda: not dialog.is_displayed(), "the question is gone")
        page.find_element(By.ID, "close-all").send_keys(Keys.ENTER)
        until(dialog.is_displayed, "there is the question again")
        press(Keys.TAB)
        press(Keys.ENTER)
        until(lambda: one.close_code == 1008, "it is closed")
        shows(page, "#found", "0 sockets of group “watched”")
    assert page.title == "Live"


CLOCK = """
const real = fetch, seconds = arguments[0];
window.fetch = async (path, options) => {
  const answer = await real(path, options);
  if (path !== "now") return answer;
  const told = await answer.json();
  for (const process of told.processes) process.at += seconds;
  return new Response(JSON.stringify(told), {headers: answer.headers});
};
"""
"""The clock of the server is another from now on."""


def test_a_clock_that_steps_back_stops_no_rate(server: Server, page: Browser) -> None:
    with room(server, "7", "lobby") as one:
        until(lambda: texts(page, "#plot-sockets") == ["1"], "it is counted")
        until(lambda: texts(page, "#plot-sent") == ["0"], "nothing is sent")
        page.execute_script(CLOCK, -3600)

        def counted() -> bool:
            one.send_json({"group": "lobby"})
            one.receive_json()
            return texts(page, "#plot-sent") != ["0"]

        until(counted, "what is sent is shown")


def test_the_name_that_was_asked_for_last_is_shown(server: Server, page: Browser) -> None:
    """Was: the answer that came last."""
    page.execute_script("""
        const { fetch } = window;
        window.late = [];
        window.fetch = async (path, how) => {
            const answer = await fetch(path, how);
            if (path.includes("group=first")) await new Promise((done) => window.late.push(done));
            return answer;
        };
        window.seek = (name) => {
            document.querySelector("#name").value = name;
            document.querySelector("#search").requestSubmit();
        };
        document.querySelector("#kind").value = "group";
        window.seen = [];
        const found = document.querySelector("#found");
        new MutationObserver(() => window.seen.push(found.textContent)).observe(found, {childList: true});
        window.seek("first");
    """)
    until(lambda: page.execute_script("return window.late.length"), "the first answer waits")
    page.execute_script('window.seek("second")')
    shows(page, "#found", "second")
    page.execute_script('window.late[0](); window.seek("third")')
    shows(page, "#found", "third")
    assert not any("first" in one for one in page.execute_script("return window.seen"))


def test_on_a_narrow_screen(server: Server, page: Browser) -> None:
    page.set_window_size(400, 800)
    try:
        with room(server, "somebody", "a-group-with-quite-a-long-name-" + "x" * 60):
            shows(page, "#groups tr", "a-group-with")
            page.find_element(By.ID, "name").send_keys("somebody" + Keys.ENTER)
            shows(page, "#sockets td", "tests.observe.live_app.Room")
            wide: Any = page.execute_script("return document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0
    finally:
        page.set_window_size(1200, 900)


def test_who_may_not_look_sees_why(server: Server, chromium: Browser) -> None:
    chromium.get(server.http("/live/"))
    assert "may not look" in chromium.find_element(By.TAG_NAME, "body").text
    chromium.get("about:blank")
    complaints(chromium, server.http("/"))
