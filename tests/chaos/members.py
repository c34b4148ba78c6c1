"""The clients of a run, each behind a proxy of its own: they stay, and say something now and then."""

from __future__ import annotations

import asyncio
import json
import random
import time

from compat.client import Client, Closed
from tests.chaos import record
from tests.chaos.posting import PostingClient
from tests.chaos.record import Frame, Sent, Told
from tests.chaos.schedule import ROOMS, Plan
from tests.support.proxy import Proxy
from tests.support.servers import Address

__all__ = ["CLIENTS", "Member"]

CLIENTS = (
    ("async", "websocket"),
    ("sync", "websocket"),
    ("several", "websocket"),
    ("async", "websocket"),
    ("sync", "websocket"),
    ("several", "websocket"),
    ("async", "posts"),
    ("sync", "posts"),
    ("plain", "websocket"),
)
"""The kind of the consumer, and what a client reaches it by."""
PACE_S = 0.15
"""The mean of the pauses between two frames of a client, which are drawn from the seed: they are the load."""


class Member:
    """One client, and the log of what happens to it."""

    def __init__(self, plan: Plan, index: int, proxy: Proxy, origin: str) -> None:
        kind, by = CLIENTS[index]
        self.record = record.Client(f"{kind}{index}", kind, ROOMS[index % 2], polls=by == "posts")
        self.opened = 0
        """How often it has been open."""
        self._chance = random.Random(f"{plan.seed} {plan.layer} {self.record.name}")
        path = f"/{kind}/{self.record.room}/{self.record.name}/"
        address = Address(proxy.port)
        self._client: Client | PostingClient
        if by == "posts":
            self._client = PostingClient(
                address, path, origin=origin, chance=self._chance, on_change=self._changed
            )
        else:
            headers = {"Origin": origin}
            self._client = Client(address.ws(path), headers=headers, on_change=self._changed)
        self._reading: asyncio.Task[None]
        self._writing: asyncio.Task[None]

    async def open(self) -> None:
        await self._client.__aenter__()
        self._reading = asyncio.ensure_future(self._read())

    def begin(self) -> None:
        """Say something now and then."""
        self._writing = asyncio.ensure_future(self._write())

    async def rest(self) -> None:
        """Say nothing more."""
        self._writing.cancel()
        await asyncio.wait((self._writing,))

    def is_back(self, opened: int) -> bool:
        """Return True if it is open, knows what was recovered, and has been open for more times than that.

        A cut between two polls is none.
        """
        client = self._client
        if client.state == "closed":
            return True  # for good, which ``judge`` says
        if isinstance(client, PostingClient):
            return client.state == "open" and (self.opened == 1 or client.recovered is not None)
        return client.state == "open" and self.opened > opened and client.recovered is not None

    @property
    def state(self) -> str:
        return self._client.state

    async def leave(self) -> None:
        """Say goodbye, and read what has come before that."""
        await self._client.close()
        await self._reading
        self.record.unsure = [json.loads(frame)["n"] for frame in self._client.take_unsure()]

    def _changed(self, client: Client | PostingClient) -> None:
        why = f"{client.end}" if client.state == "closed" else client.why
        self.record.log.append(Told(time.time(), client.state, client.recovered, why))
        self.opened = sum(isinstance(entry, Told) and entry.state == "open" for entry in self.record.log)

    async def _read(self) -> None:
        try:
            while True:
                frame = json.loads(await self._client.receive())
                self.record.log.append(Frame(time.time(), **frame))
        except Closed:
            pass

    async def _write(self) -> None:
        n = 0
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / PACE_S))
            n += 1
            what = self._what()
            self.record.sent.append(Sent(time.time(), n, what))
            try:
                await self._client.send(json.dumps({"n": n, "do": what}))
            except Closed:
                self.record.sent.pop()
                return

    def _what(self) -> str:
        """What the next frame asks for.

        A consumer that handles several messages at once sends in any order, and goes on while it waits.
        """
        drawn = self._chance.choices(("echo", "say", "delivered", "work"), (48, 43, 5, 4))[0]
        return drawn if self.record.kind in ("async", "sync") else "echo"
