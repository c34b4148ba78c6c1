"""A process with the real channels_redis, told what to do by lines of JSON on stdin; run by test_mixed_fleet.

Each line is ``[method, arguments]`` of the layer, and is answered by ``{"result": …}`` or ``{"error": …}``.
``listen`` begins to receive on channels, ``heard_since`` is what has come: at least as much as it is told.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

__all__: list[str] = []

LATE_S = 20.0


class Ears:
    """Receives for as long as the process runs: pub/sub forgets a channel that nobody receives from."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.got: dict[str, list[Any]] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.heard = asyncio.Event()

    async def listen(self, channels: list[str]) -> None:
        self.got.update({channel: [] for channel in channels})
        self.tasks += [asyncio.ensure_future(self.collect(channel)) for channel in channels]

    async def collect(self, channel: str) -> None:
        while True:
            message = await self.layer.receive(channel)
            self.got[channel].append(message)
            self.heard.set()

    async def heard_since(self, quiet_s: float, least: int = 0) -> dict[str, list[Any]]:
        """What has come on each channel since the last time, once nothing comes any more.

        ``least``: how many messages are waited for first, for as long as a busy machine may need.
        """
        while sum(map(len, self.got.values())) < least:
            self.heard.clear()
            try:
                await asyncio.wait_for(self.heard.wait(), LATE_S)
            except asyncio.TimeoutError:
                break
        while True:
            self.heard.clear()
            try:
                await asyncio.wait_for(self.heard.wait(), quiet_s)
            except asyncio.TimeoutError:
                break
        got, self.got = self.got, {channel: [] for channel in self.got}
        return got


async def main() -> None:
    path, options = sys.argv[1], json.loads(sys.argv[2])
    module, _, name = path.rpartition(".")
    layer = getattr(importlib.import_module(module), name)(**options)
    ears = Ears(layer)
    loop = asyncio.get_running_loop()
    print(json.dumps({"result": "ready"}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        method, arguments = json.loads(line)
        try:
            result = await getattr(ears if hasattr(ears, method) else layer, method)(*arguments)
            print(json.dumps({"result": result}), flush=True)
        except Exception as error:  # noqa: BLE001 - told to the test
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    for task in ears.tasks:
        task.cancel()
    await asyncio.gather(*ears.tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
