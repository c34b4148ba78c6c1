"""``setting_changed``, under its old name."""

from __future__ import annotations

from ..core.signals import setting_changed

__all__ = ["setting_changed"]
