"""The signals of a request's life, and of a changed setting."""

from __future__ import annotations

from ..dispatch import Signal

__all__ = ["got_request_exception", "request_finished", "request_started", "setting_changed"]

request_started = Signal()
request_finished = Signal()
got_request_exception = Signal()
setting_changed = Signal()
"""Sent by ``override_settings`` with ``setting``, ``value`` and ``enter``."""
