"""A version tuple as text."""

from __future__ import annotations

__all__ = ["get_version"]


def get_version(version: tuple[int, int, int, str, int] | None = None) -> str:
    """``(5, 2, 1, "final", 0)`` as ``"5.2.1"``; without an argument, the version whose names are served."""
    if version is None:
        from .. import VERSION as version
    major, minor, patch, stage, serial = version
    number = f"{major}.{minor}" + (f".{patch}" if patch else "")
    return number + ("" if stage == "final" else f"{ {'alpha': 'a', 'beta': 'b', 'rc': 'rc'}.get(stage, stage) }{serial}")
