"""Groups with a history: each connection that joins gets the earlier messages, and none twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.exceptions import ImproperlyConfigured, LayerUnavailable
from compat.layers import InMemoryChannelLayer
from tests.unit.manager.conftest import MakeManager, connector, layer_with
from tests.unit.manager.sockets import Peer

HISTORY = {"room*": {"count": 1000, "on_join": 5}}


@pytest.fixture
def kind() -> str:
    return "redis"


@pytest.fixture(params=["memory", "pubsub", "queue"])
def layer(request: pytest.FixtureRequest, redis_url: str) -> Any:
    return layer_with(request.param, redis_url, history=HISTORY)


async def test_each_who_joins_sees_what_was_said(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    connect = connector(manager)
    alice, _ = await connect("alice")
    for number in range(1, 9):
        await manager.send_group_except("room", {"n": number}, alice)
    for _ in range(3):
        _, peer = await connect("bob", "room")
        assert await peer.hear_all(5) == [{"n": number} for number in range(4, 9)]
        assert peer.unheard == []


async def test_none_twice_while_much_is_said(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    connect = connector(manager)
    peers: list[Peer] = []

    async def say() -> None:
        for number in range(1, 301):
            await manager.send_group("room", {"n": number})

    saying = asyncio.ensure_future(say())
    while not saying.done() and len(peers) < 10:
        peers.append((await connect("bob", "room"))[1])
    await saying
    for peer in peers:
        got = [(await peer.hear_json())["n"]]
        while got[-1] != 300:
            got.append((await peer.hear_json())["n"])
        assert got == list(range(got[0], 301)), "in order, without a hole"


class Held(InMemoryChannelLayer):
    """Once it is told to hold, the next channel that joins waits, and is refused."""

    def __init__(self) -> None:
        super().__init__(history=HISTORY)
        self.hold = False
        self.held, self.refuse = asyncio.Event(), asyncio.Event()

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        if self.hold:
            self.hold = False
            self.held.set()
            await self.refuse.wait()
            raise LayerUnavailable("it is away")
        await super().group_add(group, channel, last)


async def test_a_join_behind_the_end_of_its_group(make_manager: MakeManager) -> None:
    """It waits for another join, which fails; then the last member leaves."""
    layer = Held()
    manager = make_manager(layer=layer)
    connect = connector(manager)
    last, _ = await connect("last", "room")
    refused, _ = await connect("refused")
    bob, peer = await connect("bob")
    layer.hold = True
    relays = manager.switchboard().relays
    first = asyncio.ensure_future(relays.join("room", refused.address, refused, earlier=True))
    await layer.held.wait()
    leaving = asyncio.ensure_future(relays.leave("room", last.channel_name))
    await asyncio.sleep(0)
    joining = asyncio.ensure_future(relays.join("room", bob.address, bob, earlier=True))
    await asyncio.sleep(0)
    layer.refuse.set()
    with pytest.raises(LayerUnavailable):
        await first
    await leaving
    await joining
    assert list(relays.groups["room"].members) == [bob.channel_name], "where leave() finds it"
    await manager.send_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    await relays.leave("room", bob.channel_name)
    assert "room" not in relays.groups


async def test_the_history_has_what_was_sent(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    alice, _ = await connector(manager)("alice", "room")
    await manager.send_group("room", {"n": 1})
    await manager.send_group_except("room", {"n": 2}, alice)
    await manager.send_group("room", {"n": 3})
    found = await manager.history("room", 2)
    assert found == [{"n": 2}, {"n": 3}]
    assert await manager.history("room", since=found[0].id) == [{"n": 3}]
    assert await asyncio.to_thread(manager.history_sync, "room", 1) == [{"n": 3}]
    with pytest.raises(ImproperlyConfigured, match="hall"):
        await manager.history("hall")
