"""A headless Chromium, driven by Selenium, with the chromedriver of this machine: nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

__all__ = ["Browser", "browser", "complaints"]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)

Browser: TypeAlias = webdriver.Chrome


@contextmanager
def browser(
    profile: Path, *, logs: Mapping[str, str] | None = None, preferences: Mapping[str, Any] | None = None
) -> Iterator[Browser]:
    """A browser with an empty profile in that folder; CHROMIUM, CHROMEDRIVER name others than on PATH.

    `logs` are kept beside the console's; `preferences` are Chromium's own.
    """
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium")
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("this test needs chromium and chromedriver (scripts/system browser installs them)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", **(logs or {})})
    if preferences:
        options.add_experimental_option("prefs", dict(preferences))
    chrome = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def complaints(chrome: Browser, *addresses: str, severe: bool = False) -> list[str]:
    """What the pages of servers (any URL of each) have written to the console since it was asked last.

    One browser serves the whole run, and its console is one for all tabs: what pages of other servers wrote
    is theirs. So is a favicon that Chromium asks for by itself. `severe`: errors only.
    """
    entries: list[dict[str, str]] = chrome.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's
    sites = tuple(
        urlsplit(address)._replace(path="/", query="", fragment="").geturl() for address in addresses
    )
    return [
        entry["message"]
        for entry in entries
        if entry["message"].startswith(sites)
        and "/favicon.ico " not in entry["message"]
        and (not severe or entry["level"] == "SEVERE")
    ]
