"""Our client: ``python -m bench.faults.clients.ours URL PING_S PONG_S``."""

from __future__ import annotations

import asyncio
import sys

from bench.faults.clients.lines import commands, tell
from compat.client import Client, timing


def changed(client: Client) -> None:
    """Tell each change of state, and the frames that may have been lost."""
    if client.state == "open":
        tell("open", recovered=client.recovered, why=client.why)
    elif client.state == "away":
        tell("lost")
    if client.state == "closed":
        return  # after the goodbye: what the server has not acknowledged yet
    for frame in client.take_unsure():
        tell("returned", number=int(str(frame).split()[-1]))


async def listen(client: Client) -> None:
    async for frame in client:
        tell("got", number=int(frame))


async def main(url: str, ping_s: float, pong_s: float) -> None:
    # After so long a silence it asks the server: 25 s and 3 s outside of this matrix.
    timing.SILENCE_SECONDS, timing.ANSWER_SECONDS = ping_s, pong_s
    timing.MOST_SECONDS = 0.5  # between two attempts, as with the other clients; 30 s outside
    async with Client(url, on_change=changed) as client:
        listening = asyncio.create_task(listen(client))
        async for frame in commands():
            await client.send(frame)
    await listening


asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
