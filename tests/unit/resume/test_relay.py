"""The ends of a link between processes, and what they do to a peer that is slow, or does not read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.layers.memory import InMemoryChannelLayer
from compat.resume import peer as peer_module
from compat.resume.ends import MAX_HELD, AwayEnd, HomeEnd
from compat.resume.peer import Peer
from compat.resume.relay import Relay
from tests.support.logs import recorded
from tests.unit.resume.sockets import FalseSocket, turns


class FalseLayer:
    """Keeps what it is sent; ``held`` lets sends wait."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.flow = asyncio.Event()
        self.flow.set()

    async def send(self, channel: str, message: Any) -> None:
        await self.flow.wait()
        self.items += message["items"]


def the_peer(layer: FalseLayer) -> Peer:
    return Peer(layer, "home", "own", asyncio.get_running_loop())


async def test_a_client_that_reads_nothing_holds_little() -> None:
    layer = FalseLayer()
    peer = the_peer(layer)
    away = AwayEnd(peer, 7, asyncio.get_running_loop())
    socket = FalseSocket()
    socket.coming.put_nowait({"type": "websocket.connect"})
    serving = asyncio.ensure_future(away.serve("channels.resume.v1", socket.receive, socket.send))
    await turns()
    socket.stick()
    with recorded():
        for _ in range(100):
            away.take("out text", "x" * 65536)
            await turns(2)
    assert away.held <= MAX_HELD + 65536 and away.out.qsize() == 1
    assert ([7], "left", 1006) in layer.items
    serving.cancel()
    await turns()


@pytest.mark.parametrize("other", ["home", "away"])
async def test_only_the_largest_link_is_dropped_when_too_much_waits(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """The two sides count their links independently: both may have one with this number."""
    monkeypatch.setattr(peer_module, "MAX_WAITING", 1000)
    layer = FalseLayer()
    layer.flow.clear()
    peer = the_peer(layer)
    loop = asyncio.get_running_loop()
    homes = [peer.homes.setdefault(number, HomeEnd(peer, number)) for number in (1, 2)]
    aways = [peer.aways.setdefault(number, AwayEnd(peer, number, loop)) for number in (1, 2)]
    with recorded() as records:
        peer.put(2, "out text", "b" * 300)
        peer.put(2, "text", "c" * 300)
        peer.put(1, *(("out text", "a" * 500) if other == "home" else ("text", "a" * 500)))
    assert "it is dropped" in "\n".join(records.messages())
    dropped = [bool(home.came) for home in homes] + [away.answered.done() for away in aways]
    assert dropped == [other == "home", False, other == "away", False]
    layer.flow.set()
    await turns()
    assert ([2], "out text", "b" * 300) in layer.items and ([2], "text", "c" * 300) in layer.items
    assert not any("aaa" in str(value) for _, _, value in layer.items)


async def test_an_end_that_is_dropped_says_so_to_the_other() -> None:
    layer = FalseLayer()
    peer = the_peer(layer)
    HomeEnd(peer, 3).drop()
    await turns()
    assert layer.items == [([3], "close", [1012, ""])]


async def test_a_batch_that_is_not_understood_does_not_silence_the_others() -> None:
    layer = InMemoryChannelLayer()
    relay = Relay(layer)
    channel = await relay.home()
    with recorded() as records:
        batch = {"type": "compat.relay", "from": "other", "seq": 1, "items": [([1], "attach", ["nonsense"])]}
        await layer.send(channel, batch)
        await layer.send(channel, {**batch, "seq": 2, "items": [([9], "text", "for nobody")]})
        answer = await asyncio.wait_for(layer.receive("other"), 10)
    assert "cannot be understood" in "\n".join(records.messages())
    assert answer["items"] == [([9], "close", [1012, ""])]
    assert relay.reading is not None and not relay.reading.done()
    relay.reading.cancel()
    if relay.timer is not None:
        relay.timer.cancel()
