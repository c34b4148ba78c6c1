"""Checks of connections before they reach the consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat import lazy

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = lazy.submodules(__name__, "websocket")
