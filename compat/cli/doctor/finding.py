"""A finding of the doctor: its severity, its text, its place, and the fix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

__all__ = ["Finding", "Severity", "error", "note", "warning"]


class Severity(IntEnum):
    """The severity of a finding; the highest one decides the exit code."""

    NOTE = 0
    """Information; the application works."""
    WARNING = 1
    """The application works, but fails under load or under attack."""
    ERROR = 2
    """A part of the application does not work, or loses messages."""


@dataclass(frozen=True)
class Finding:
    """A problem and its fix.

    ``text``: the problem and its consequence. ``fix``: what to write or run. ``where``: a file and line, an
    alias or a path. ``check``: the name of the check.
    """

    severity: Severity
    text: str
    fix: str
    where: str = ""
    check: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as a dict, the severity by its name."""
        return {**asdict(self), "severity": self.severity.name.lower()}


def error(text: str, fix: str, where: str = "") -> Finding:
    """Return a finding with the severity ERROR."""
    return Finding(Severity.ERROR, text, fix, where)


def warning(text: str, fix: str, where: str = "") -> Finding:
    """Return a finding with the severity WARNING."""
    return Finding(Severity.WARNING, text, fix, where)


def note(text: str, fix: str, where: str = "") -> Finding:
    """Return a finding with the severity NOTE."""
    return Finding(Severity.NOTE, text, fix, where)
