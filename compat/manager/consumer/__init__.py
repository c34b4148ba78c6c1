"""``BaseConsumer``: handles the messages of one connection."""

from __future__ import annotations

from compat.manager.consumer.base import BaseConsumer

__all__ = ["BaseConsumer"]
