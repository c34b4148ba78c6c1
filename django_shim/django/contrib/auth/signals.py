"""Somebody has logged in, out, or tried to."""

from __future__ import annotations

from ...dispatch import Signal

__all__ = ["user_logged_in", "user_logged_out", "user_login_failed"]

user_logged_in = Signal()
user_logged_out = Signal()
user_login_failed = Signal()
