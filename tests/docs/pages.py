"""The pages of the documentation as their readers have them, and the code in them.

A block of Python with a title is a file of that name: all files of a page are one folder. A block without one
is a script, which finds the page's files beside it. ``pycon``, or ``>>>`` in a block, is a session.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPO

__all__ = ["BLOCKS", "DOCS", "FENCE", "PAGES", "Block", "block_of", "files_of", "lay_out"]

DOCS = REPO / "docs"
PAGES = [REPO / "README.md", *sorted(path for path in DOCS.rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A piece of code in a page; ``page`` is the path below docs/ without its ending, or README."""

    page: str
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_session(self) -> bool:
        return self.language == "pycon" or self.text.lstrip().startswith(">>>")


def _blocks() -> Iterator[Block]:
    for path in PAGES:
        page = "README" if path.parent == REPO else path.relative_to(DOCS).with_suffix("").as_posix()
        text = path.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found["language"], found["title"], textwrap.dedent(found["text"]))


BLOCKS = tuple(_blocks())


def files_of(page: str) -> dict[str, str]:
    """The files that a page shows, by their titles; one that is shown in pieces is all of them."""
    files: dict[str, str] = {}
    for block in BLOCKS:
        if block.page == page and block.title is not None and block.language != "diff":
            files[block.title] = files.get(block.title, "") + block.text
    return files


def lay_out(page: str, folder: Path) -> Path:
    """Write a page's files into a folder."""
    for name, text in files_of(page).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def block_of(page: str, part: str) -> Block:
    """The one block of a page that has this text in it."""
    (block,) = (block for block in BLOCKS if block.page == page and part in block.text)
    return block
