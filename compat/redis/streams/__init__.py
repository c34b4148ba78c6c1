"""Histories of messages in Redis Streams: written by one script, followed without a gap by any process."""

from __future__ import annotations

__all__: list[str] = []
