"""Every block of Python on every page: scripts run, sessions answer as shown, files are somebody's to try."""

from __future__ import annotations

import doctest
import json
import re

import pytest

from tests.docs.conftest import SCRIPTS
from tests.docs.pages import BLOCKS, DOCS, FENCE, PAGES, Block
from tests.docs.test_applications import TRIED
from tests.docs.test_ports import PORTS

SESSIONS = [block for block in BLOCKS if block.language in ("python", "pycon") and block.is_session]


@pytest.mark.parametrize("block", SCRIPTS, ids=str)
def test_the_script_runs(block: Block, outcomes: dict[Block, tuple[int, str]]) -> None:
    assert outcomes[block] == (0, "")


@pytest.mark.parametrize("block", SESSIONS, ids=str)
def test_the_session_is_as_shown(block: Block) -> None:
    session = doctest.DocTestParser().get_doctest(block.text, {}, str(block), block.page, block.line)
    assert doctest.DocTestRunner().run(session).failed == 0


def test_every_file_of_a_page_is_tried() -> None:
    pages = {block.page for block in BLOCKS if block.title is not None}
    assert pages == {*TRIED, *(port.page for port in PORTS)}, "each page that shows files has a test for them"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


def test_every_block_says_its_language() -> None:
    known = {"python", "pycon", "console", "json", "nginx", "ini", "yaml", "js", "text", "diff", "html"}
    assert [str(block) for block in BLOCKS if block.language not in known] == []


def test_nothing_is_indented_code() -> None:
    """An indented block would be code that no test sees."""
    for path in DOCS.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        assert "\n\n    make " not in text, path


def test_no_heading_skips_a_level() -> None:
    """A screen reader's list of headings would have a hole."""
    for path in PAGES:
        level = 0
        for mark in re.findall(r"^(#+) ", FENCE.sub("", path.read_text("utf-8")), re.M):
            assert len(mark) <= level + 1, f"{path.name}: {mark}"
            level = len(mark)
