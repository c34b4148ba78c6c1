"""The documentation as its readers have it: the scripts in it, and the site that is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import scripts_of_pages
from tests.docs.pages import BLOCKS, Block, lay_out
from tests.docs.site import Site
from tests.examples.conftest import EXAMPLES
from tests.support.paths import REPO
from tests.support.processes import child_environment

SCRIPTS = [
    block for block in BLOCKS if block.language == "python" and block.title is None and not block.is_session
]
DJANGO_PORT = EXAMPLES / "django_port"
BUILD_S = 500
"""For all scripts, or the site: half a minute each, but longer on a busy machine that counts coverage."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Any test may be the one that waits for them."""
    for item in items:
        if {"outcomes", "site"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(BUILD_S + 100), append=True)


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[Block, tuple[int, str]]:
    """Each script of the documentation, run: its exit code and what it printed."""
    top = tmp_path_factory.mktemp("scripts")
    scripts = {str(_written(block, top / str(number))): block for number, block in enumerate(SCRIPTS)}
    done = subprocess.run(
        [sys.executable, str(scripts_of_pages.__file__), *scripts],
        cwd=REPO,
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {scripts[name]: (code, output) for name, code, output in rows}


def _written(block: Block, folder: Path) -> Path:
    """The script in a folder with the files of its page; "mysite" is the project of the examples."""
    folder.mkdir()
    lay_out(block.page, folder)
    text = block.text
    if "mysite" in text:
        text = text.replace("mysite", "chatsite")
        for package in ("chat", "chatsite"):
            (folder / package).symlink_to(DJANGO_PORT / package)
    script = folder / "script_of_the_page.py"
    script.write_text(text, encoding="utf-8")
    return script


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built; a warning of the build is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=REPO,
        env=child_environment({"NO_MKDOCS_2_WARNING": "1"}),
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Site(folder)
