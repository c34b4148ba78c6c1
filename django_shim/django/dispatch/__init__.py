"""Signals: functions that are called when something has happened elsewhere."""

from __future__ import annotations

from .dispatcher import Signal, receiver

__all__ = ["Signal", "receiver"]
