"""One thing that the doctor found: how bad it is, what it is, where, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

__all__ = ["Finding", "Severity", "error", "note", "warning"]


class Severity(IntEnum):
    """What a finding means; the worst one decides the exit code."""

    NOTE = 0
    """Good to know; nothing breaks."""
    WARNING = 1
    """It works, until there is load, an attacker, or a bad day."""
    ERROR = 2
    """It does not work, or loses messages."""


@dataclass(frozen=True)
class Finding:
    """``text`` says what was found and what follows from it; ``fix`` what to write or run instead.

    ``where``: a file and line, an alias, a path. ``check``: the name of the check, set by who runs it.
    """

    severity: Severity
    text: str
    fix: str
    where: str = ""
    check: str = ""

    def as_json(self) -> dict[str, Any]:
        """Its fields, the severity by name."""
        return {**asdict(self), "severity": self.severity.name.lower()}


def error(text: str, fix: str, where: str = "") -> Finding:
    """A finding of that severity."""
    return Finding(Severity.ERROR, text, fix, where)


def warning(text: str, fix: str, where: str = "") -> Finding:
    """A finding of that severity."""
    return Finding(Severity.WARNING, text, fix, where)


def note(text: str, fix: str, where: str = "") -> Finding:
    """A finding of that severity."""
    return Finding(Severity.NOTE, text, fix, where)
