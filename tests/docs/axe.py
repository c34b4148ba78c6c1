"""axe-core, the accessibility checker, as npm has it: kept in .cache, and run in a browser's page."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.paths import REPO

__all__ = ["axe_source", "violations"]

VERSION = "4.14.1"
CACHE = REPO / ".cache" / f"axe-core-{VERSION}"
RUN = """
const done = arguments[arguments.length - 1];
axe.run().then((result) => done(result.violations.flatMap((violation) => violation.nodes.map((node) =>
  `${violation.id}: ${node.html.slice(0, 200)}`))));
"""


def axe_source() -> str:
    """The script; the test is skipped where there is neither the script in .cache nor npm."""
    script = CACHE / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("this test needs npm, to get axe-core")
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
        done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            pytest.skip(f"npm has no axe-core for us: {done.stderr[-300:]}")
        _take(CACHE / f"axe-core-{VERSION}.tgz", script)
    return script.read_text(encoding="utf-8")


def _take(package: Path, script: Path) -> None:
    with tarfile.open(package) as archive:
        content = archive.extractfile("package/axe.min.js")
        assert content is not None
        part = script.with_suffix(".part")
        part.write_bytes(content.read())
        part.rename(script)


def violations(page: Browser, axe: str) -> list[str]:
    """What is wrong with the page that the browser shows, one line for each place."""
    page.execute_script(axe)
    found: list[str] = page.execute_async_script(RUN)
    return found
