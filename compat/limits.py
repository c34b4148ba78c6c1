"""Limits of connections, under their documented name."""

from __future__ import annotations

from compat.engine.admissions import Admissions, admissions
from compat.engine.limits import Guard, Heartbeat, guarded, limit_of, limited

__all__ = ["Admissions", "Guard", "Heartbeat", "admissions", "guarded", "limit_of", "limited"]
