"""broadcaster over Redis, with two initial subscriptions: with only one, its listener stops."""

from __future__ import annotations

import os

from apps import _broadcaster


class Broadcast(_broadcaster.Broadcast):
    """Subscribes twice when it connects."""

    async def connect(self) -> None:
        """Connect, and subscribe so that the listener keeps running."""
        await super().connect()
        self.kept = [self.subscribe("_keep_a"), self.subscribe("_keep_b")]
        for subscription in self.kept:
            await subscription.__aenter__()


_broadcaster.Broadcast = Broadcast  # type: ignore[misc]
app = _broadcaster.build(os.environ["BENCH_REDIS"])
