"""Consumers that know a protocol: ``compat.generic.websocket`` and ``compat.generic.http``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compat import lazy

__all__: list[str] = []

if not TYPE_CHECKING:
    __getattr__ = lazy.submodules(__name__, "http", "websocket")
