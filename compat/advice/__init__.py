"""Explanations of mistakes for errors and log records, and the code that finds the mistakes."""

from __future__ import annotations

__all__: list[str] = []
