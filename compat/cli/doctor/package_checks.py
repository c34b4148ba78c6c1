"""Checks of what is installed beside the project."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

from compat.cli.doctor.finding import Finding, note
from compat.cli.doctor.subject import Subject

__all__ = ["CHECKS", "missing_speed"]

SPEED = {"uvloop": "the event loop", "hiredis": "replies of Redis", "httptools": "requests and handshakes"}
"""What the extra [speed] installs, and what it makes faster."""


def missing_speed() -> list[str]:
    """Packages of the extra that are not here; uvloop is not for Windows."""
    return [name for name in SPEED if not find_spec(name) and (name, sys.platform) != ("uvloop", "win32")]


def speed_extras(subject: Subject) -> Iterator[Finding]:
    """Parts in C that are used where they are installed."""
    if missing := missing_speed():
        parts = ", ".join(f"{name} ({SPEED[name]})" for name in missing)
        yield note(
            f"not installed: {parts}; they are used as soon as they are there",
            "pip install 'channels-compat[speed]'",
        )


CHECKS = (speed_extras,)
