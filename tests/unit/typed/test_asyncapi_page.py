"""The page of a document in Chromium: found, read, tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.typed.asyncapi import add_asyncapi
from tests.support.browser import Browser, complaints
from tests.support.servers import Address, LiveServer
from tests.support.waiting import until
from tests.unit.typed.room import Room
from tests.unit.typed.test_asyncapi import Doing
from tests.unit.typed.test_topics import Console


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    register_channel_layer("default", InMemoryChannelLayer())
    app = FastAPI(title="House", description="Rooms and runs.")
    for address, consumer in (("/ws/{room}", Room), ("/doing", Doing), ("/console", Console)):
        endpoint: Any = consumer.as_asgi()
        app.router.add_websocket_route(address, endpoint)
    add_asyncapi(app)
    with LiveServer(app) as live:
        yield live
    unregister_channel_layer("default")


class Page:
    def __init__(self, chrome: Browser, url: str) -> None:
        self.chrome = chrome
        chrome.get(url)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that can be seen."""
        script = """return [...document.querySelectorAll(arguments[0])]
            .filter((one) => one.checkVisibility()).map((one) => one.innerText)"""
        found: list[str] = self.chrome.execute_script(script, selector)
        return found

    def click(self, selector: str) -> None:
        self.run("arguments[0].click()", self.chrome.find_element(By.CSS_SELECTOR, selector))

    def open(self, operation: str) -> None:
        self.click(f"#{operation} summary")
        until(lambda: self.texts(f"#{operation} .message h4 code"), "it is open")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chrome.execute_script(script, *arguments)


@pytest.fixture
def page(server: Address, chromium: Browser) -> Iterator[Page]:
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    yield Page(chromium, server.http("/asyncapi/"))
    written = complaints(chromium, server.http("/"))
    chromium.close()
    chromium.switch_to.window(first)
    assert not written


def test_it_shows_channels_with_what_they_take_and_send(page: Page, server: Address) -> None:
    assert page.texts("h1") == ["House API"]
    assert page.texts(".channel h2") == [
        "room\nchat\nrooms",
        "doing",
        "console",
        "console_run",
        "console_team",
    ]
    assert page.texts("#channel-room .where") == ["/ws/{room}"]
    assert page.texts("#channel-room .operation strong") == ["ping", "say", "note", "fail", "said", "error"]
    assert f"ws://127.0.0.1:{server.port}" in page.texts(".facts")[0]
    assert [
        link.get_attribute("href") for link in page.chrome.find_elements(By.CSS_SELECTOR, ".facts a")
    ] == [
        server.http("/asyncapi.json"),
        server.http("/asyncapi.yaml"),
    ]


def test_an_operation_opens_with_schema_example_and_answers(page: Page) -> None:
    page.open("room_handle_ping")
    assert page.texts("#room_handle_ping .prose") == ["Answers a ping"]
    assert page.texts("#room_handle_ping .message h4 code") == ["PingMessage", "PongMessage"]
    page.open("room_handle_say")
    assert page.texts("#room_handle_say .message:first-child .name") == [
        "action",
        "payload",
        "text",
        "room_name",
    ]
    assert page.texts("#room_handle_say .answer h3") == ["ANSWERED WITH"]
    assert '"text": "string"' in page.texts("#room_handle_say pre")[0]
    page.open("room_on_alert")
    assert page.texts("#room_on_alert .body > p") == ["When the event Alert reaches the consumer."]


def test_every_kind_of_schema_is_drawn(page: Page) -> None:
    page.open("doing_do")
    names = page.texts("#doing_do .message:first-child .name")
    assert names[:5] == ["action", "payload", "key", "when", "day"]
    assert {"kind", "items", "children", "choice"} <= set(names)
    text = page.texts("#doing_do .message:first-child .fields")[0]
    for shown in (
        "string (uuid)",
        "at least 8 characters",
        "> 3",
        "a multiple of 4",
        '"a" | "b"',
        "array of integer",
    ):
        assert shown in text, shown


def test_it_can_be_searched(page: Page) -> None:
    find = page.chrome.find_element(By.ID, "find")
    find.send_keys("unsub")
    assert page.texts("nav h2") == ["console_run", "console_team"]
    assert page.texts(".operation strong") == ["unsubscribe", "unsubscribe"]
    find.send_keys(Keys.CONTROL + "a")
    find.send_keys("nothing like that")
    assert page.texts("#nothing") == ["Nothing is called that."]
    find.clear()
    find.send_keys(" ")
    page.click("#tags .chip:nth-child(3)")
    assert page.texts("#tags .chip[aria-pressed=true]") == ["talk"]
    assert page.texts(".operation strong") == ["say"]
    page.click("#tags .chip:nth-child(3)")
    assert len(page.texts(".channel")) == 5


def test_a_link_opens_its_operation(page: Page, server: Address) -> None:
    page.click("nav a[href='#doing_do']")
    until(lambda: page.texts("#doing_do .message"), "it is open")
    assert page.run("return document.querySelector('nav a[aria-current]').hash") == "#doing_do"


def test_trying_it(page: Page, server: Address) -> None:
    page.click("#channel-room .try summary")
    panel = "#channel-room .try"
    page.click(f"{panel} .settings button")
    assert page.texts(f"{panel} .status") == ["room is empty"]
    page.chrome.switch_to.active_element.send_keys("a b")
    assert page.texts(f"{panel} .target") == [f"ws://127.0.0.1:{server.port}/ws/a%20b"]
    page.click(f"{panel} .settings button")
    until(lambda: page.texts(f"{panel} .status") == ["open"], "it is connected")
    page.click(f"{panel} .primary")
    until(lambda: len(page.texts(f"{panel} .frame")) == 2, "it is answered")
    assert page.texts(f"{panel} .frame code") == [
        '{ "action": "ping", "payload": null }',
        '{ "action": "pong", "payload": null }',
    ]
    page.run("arguments[0].value = 1; arguments[0].dispatchEvent(new Event('change'))", select(page, panel))
    editor = page.chrome.find_element(By.CSS_SELECTOR, f"{panel} textarea")
    assert '"action": "say"' in str(editor.get_attribute("value"))
    editor.clear()
    editor.send_keys('{"action": "say", ')
    assert editor.get_attribute("aria-invalid") == "true"
    editor.send_keys(Keys.CONTROL + Keys.ENTER)
    until(lambda: page.texts(f"{panel} .frame.bad"), "an error is shown as one")
    assert "json_invalid" in page.texts(f"{panel} .frame.bad code")[0]
    page.click(f"{panel} .settings button")
    until(lambda: page.texts(f"{panel} .status") == ["closed"], "it is closed")
    assert "closed with 1000" in page.texts(f"{panel} .frame.note code")[0]
    page.click(f"{panel} .log + .buttons button")
    assert not page.texts(f"{panel} .frame")


def select(page: Page, panel: str) -> Any:
    return page.chrome.find_element(By.CSS_SELECTOR, f"{panel} select")


def test_trying_a_topic(page: Page) -> None:
    panel = "#channel-console_run .try"
    page.click(f"{panel} summary")
    page.chrome.find_element(By.CSS_SELECTOR, f"{panel} .settings input").send_keys("7")
    page.run(
        """const choice = arguments[0];
        choice.value = [...choice.options].find((one) => one.text === "subscribe").value;
        choice.dispatchEvent(new Event("change"))""",
        select(page, panel),
    )
    page.click(f"{panel} .primary")
    until(lambda: len(page.texts(f"{panel} .frame.down")) == 2, "subscribed, and the first news")
    assert '"topic": "run:7"' in page.texts(f"{panel} .frame.down code")[0]


def test_it_fits_on_a_narrow_screen(page: Page) -> None:
    size = page.chrome.get_window_size()
    try:
        page.chrome.set_window_size(500, 800)
        page.run("for (const one of document.querySelectorAll('details')) one.open = true")
        until(
            lambda: page.run("return document.documentElement.scrollWidth <= innerWidth"),
            "nothing is wider than the window",
        )
    finally:
        page.chrome.set_window_size(size["width"], size["height"])
