"""Checks of the installed packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

from compat.cli.doctor.finding import Finding, note
from compat.cli.doctor.subject import Subject

__all__ = ["CHECKS", "missing_speed"]

SPEED = {"uvloop": "the event loop", "hiredis": "replies of Redis", "httptools": "requests and handshakes"}
"""The packages of the extra [speed], and what each makes faster."""


def missing_speed() -> list[str]:
    """Return the packages of the extra [speed] that are not installed; uvloop is not available on Windows."""
    return [name for name in SPEED if not find_spec(name) and (name, sys.platform) != ("uvloop", "win32")]


def speed_extras(subject: Subject) -> Iterator[Finding]:
    """Report packages of the extra [speed] that are not installed."""
    if missing := missing_speed():
        parts = ", ".join(f"{name} ({SPEED[name]})" for name in missing)
        yield note(
            f"not installed: {parts}. They are used as soon as they are installed",
            "pip install 'channels-compat[speed]'",
        )


CHECKS = (speed_extras,)
