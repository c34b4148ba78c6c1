"""The signals of logging in and out, for ``receiver``; only the real Django sends them."""

from __future__ import annotations

from ...dispatch import Signal

__all__ = ["user_logged_in", "user_logged_out"]

user_logged_in = Signal()
user_logged_out = Signal()
