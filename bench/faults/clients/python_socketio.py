"""The client of python-socketio, which reconnects by itself: ``… URL PING_S PONG_S``; the server pings."""

from __future__ import annotations

import asyncio
import sys

import socketio
from socketio.exceptions import SocketIOError

from bench.faults.clients.lines import commands, tell

client = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.5)


@client.event
async def connect() -> None:
    tell("open", recovered=None, why="")


@client.event
async def disconnect() -> None:
    tell("lost")


@client.event
async def message(text: str) -> None:
    tell("got", number=int(text))


async def main(url: str) -> None:
    await client.connect(url, transports=["websocket"], retry=True)
    async for frame in commands():
        try:
            await client.emit("message", frame)
        except SocketIOError:
            tell("returned", number=int(frame.split()[-1]))
    await client.disconnect()


asyncio.run(main(sys.argv[1]))
