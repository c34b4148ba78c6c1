"""Files that change while a test looks: an editor's, and the notes of a server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["notes_in", "replace_in_the_same_second"]


def notes_in(path: Path) -> list[dict[str, Any]]:
    """The notes that a server has written so far, one of JSON on each line; the last may be half written."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def replace_in_the_same_second(path: Path, text: str) -> None:
    """Put `text`, of the size of what is there, in the place of `path`, changed within the same second."""
    before = path.stat()
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    assert new.stat().st_size == before.st_size
    second = before.st_mtime_ns // 10**9 * 10**9
    later = second + (before.st_mtime_ns - second + 10**9) // 2  # half way to the end of the second
    os.utime(new, ns=(later, later))
    new.replace(path)
