"""A version tuple as text."""

from __future__ import annotations

__all__ = ["get_version"]


def get_version(version: tuple[int, int, int, str, int] | None = None) -> str:
    """Return ``(5, 2, 1, "final", 0)`` as ``"5.2.1"``; by default, the version of the served names."""
    from .. import VERSION

    major, minor, patch, stage, serial = version or VERSION
    number = f"{major}.{minor}" + (f".{patch}" if patch else "")
    letters = {"alpha": "a", "beta": "b", "rc": "rc"}
    return number if stage == "final" else f"{number}{letters.get(stage, stage)}{serial}"
