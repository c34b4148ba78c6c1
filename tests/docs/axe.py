"""axe-core, the accessibility checker, as npm has it: kept in .cache, and run in a browser's page."""

from __future__ import annotations

from tests.support.browser import Browser
from tests.support.npm import npm_package

__all__ = ["axe_source", "violations"]

VERSION = "4.14.1"
RUN = """
const done = arguments[arguments.length - 1];
axe.run().then((result) => done(result.violations.flatMap((violation) => violation.nodes.map((node) =>
  `${violation.id}: ${node.html.slice(0, 200)}`))));
"""


def axe_source() -> str:
    """The script; the test is skipped where it is neither in .cache nor to be had from npm."""
    script = npm_package("axe-core", VERSION) / "axe.min.js"
    return script.read_text(encoding="utf-8")


def violations(page: Browser, axe: str) -> list[str]:
    """What is wrong with the page that the browser shows, one line for each place."""
    page.execute_script(axe)
    found: list[str] = page.execute_async_script(RUN)
    return found
