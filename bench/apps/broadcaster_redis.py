"""broadcaster over Redis, after two subscriptions: with a single first one its listener stops for good."""

from __future__ import annotations

import os

from apps import _broadcaster


class Broadcast(_broadcaster.Broadcast):
    """Subscribes twice when it connects."""

    async def connect(self) -> None:
        """Connect, and keep the listener busy."""
        await super().connect()
        self.kept = [self.subscribe("_keep_a"), self.subscribe("_keep_b")]
        for subscription in self.kept:
            await subscription.__aenter__()


_broadcaster.Broadcast = Broadcast  # type: ignore[misc]
app = _broadcaster.build(os.environ["BENCH_REDIS"])
