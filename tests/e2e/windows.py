"""Windows of one browser, each opened on a page and closed at the end, and what a person does in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.browser import Browser
from tests.support.waiting import until

__all__ = ["DEADLINE_S", "Window", "opened"]

DEADLINE_S = 45.0
"""For a page, the processes behind it and the browser, all on a machine that is busy with something else."""


class Window:
    """One window; whatever is done in it brings it to the front first."""

    def __init__(self, browser: Browser, handle: str) -> None:
        self.browser = browser
        self.handle = handle

    def front(self) -> Browser:
        self.browser.switch_to.window(self.handle)
        return self.browser

    def go(self, url: str) -> None:
        self.front().get(url)

    def find(self, element_id: str) -> WebElement:
        return self.front().find_element("id", element_id)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.front().execute_script(f"return {script}")

    def type(self, element_id: str, text: str) -> None:
        """Put text in place of what is in an input; a newline at its end is the Enter key.

        What a page does late, as to move the focus to another input, is seen and the text typed once more.
        """
        words = text.removesuffix("\n")

        def typed() -> bool:
            element = self.find(element_id)
            element.clear()
            element.send_keys(words)
            return element.get_property("value") == words

        self.wait(typed, f"{words!r} typed into #{element_id}")
        if text != words:
            self.find(element_id).send_keys(Keys.ENTER)

    def text(self, element_id: str) -> str:
        """What a person reads there: a textarea's value, or an element's visible text."""
        element = self.find(element_id)
        return str(element.get_property("value") if element.tag_name == "textarea" else element.text)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition holds; an element that is not there, as between two pages, is waited for."""

        def holds() -> object:
            try:
                return condition()
            except (NoSuchElementException, StaleElementReferenceException):
                return False

        until(holds, what, deadline_s=DEADLINE_S)

    def wait_text(self, element_id: str, text: str) -> None:
        """Until a person can read `text` there."""
        try:
            self.wait(lambda: text in self.text(element_id), f"{text!r} in #{element_id}")
        except AssertionError as error:
            where, page = self.run("location.href"), self.run("document.body?.innerText")
            raise AssertionError(f"{error} at {where}: {page!r}") from None


@contextmanager
def opened(browser: Browser, *urls: str) -> Iterator[list[Window]]:
    """A new window for each URL; all are closed at the end."""
    first = browser.current_window_handle
    windows = []
    try:
        for url in urls:
            browser.switch_to.new_window("window")
            windows.append(Window(browser, browser.current_window_handle))
            browser.get(url)
        yield windows
    finally:
        for window in windows:
            if window.handle in browser.window_handles:
                window.front().close()
        browser.switch_to.window(first)
