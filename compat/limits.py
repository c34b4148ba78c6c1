"""Limits of connections, under their documented name."""

from __future__ import annotations

from compat.engine.limits import Admissions, Guard, Heartbeat, admissions, guarded, limit_of, limited

__all__ = ["Admissions", "Guard", "Heartbeat", "admissions", "guarded", "limit_of", "limited"]
