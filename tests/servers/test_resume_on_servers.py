"""Resumable connections on every server that serves ASGI; the newest uvicorn in ``make test``."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.resume.place import APP, Place, name, started
from tests.servers.kinds import Kind, marked
from tests.support.choices import slow_but
from tests.support.clients import Refused
from tests.support.proxy import Proxy
from tests.support.resuming import COME_BACK, Closed, Resuming, end_links
from tests.support.servers import Address

STOPPED_S = 30.0
AWAY_S = 15
"""Longer than any of the servers lets a call go on after its client has left, if it limits that at all."""


@pytest.fixture(scope="module", params=marked(("uvicorn",)))
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def running(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with started(kind.serving(APP), tmp_path_factory.mktemp("resume")) as place:
        yield place


@pytest.fixture(autouse=True)
async def links_end() -> AsyncIterator[None]:
    yield
    await end_links()


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    with Proxy(place.server.port) as proxy:
        yield proxy


async def through(proxy: Proxy, flavour: str, who: str) -> Resuming:
    """A client that has connected through the proxy."""
    return await Resuming(Address(proxy.port), f"/{flavour}/?{who}").open()


async def ended(kind: Kind, place: Place, client: Resuming, who: str) -> None:
    """The client says goodbye; ``connect()`` and ``disconnect()`` have run once."""
    await client.leave()
    assert await place.code(who) == (1000 if kind.tells_codes else 1006)
    assert len(place.notes("connect", who)) == 1


async def test_a_cut(kind: Kind, place: Place, flavour: str, proxy: Proxy) -> None:
    """Once with nothing on its way, and once in the middle of what both sides send."""
    who = name("cut")
    client = await through(proxy, flavour, who)
    await client.send("count 0 40")
    assert await client.numbers(40) == list(range(40))
    proxy.cut()
    await place.noted("parked", who)
    await place.tell(who, "count 40 60")
    assert await client.back() == "all"
    assert await client.numbers(20) == list(range(40, 60))

    await client.send("count 60 500")
    got = await client.numbers(5)
    for number in range(10):
        await client.send(f"hear {number}")
    proxy.cut()
    await place.noted("parked", who, 2)
    for number in range(10, 20):
        await client.send(f"hear {number}")
    assert await client.back() == "all"
    assert got + await client.numbers(435) == list(range(60, 500))
    await client.send("heard")
    assert await client.receive_json() == list(range(20))
    await ended(kind, place, client, who)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["away", "back"])
async def test_long_after_a_cut(kind: Kind, place: Place, flavour: str, proxy: Proxy, how: str) -> None:
    """The server's own call is that of a link that has ended long ago, and it may cancel that."""
    who = name("long")
    client = await through(proxy, flavour, who)
    proxy.cut()
    await place.noted("parked", who)
    if how == "back":
        assert await client.back() == "all"
    for number in range(AWAY_S):
        await place.tell(who, f"echo {number}")
        await asyncio.sleep(1)  # the time itself
    assert not place.notes("disconnect", who), place.server.log()
    if how == "away":
        assert await client.back() == "all"
    assert await client.numbers(AWAY_S) == list(range(AWAY_S))
    await ended(kind, place, client, who)


async def test_a_close_while_the_client_is_away(place: Place, flavour: str, proxy: Proxy) -> None:
    who = name("closed")
    client = await through(proxy, flavour, who)
    proxy.cut()
    await place.noted("parked", who)
    await place.tell(who, "count 0 10")
    await place.tell(who, "close 4001")
    assert await place.code(who) == 4001
    assert await client.back() == "all"
    assert await client.numbers(10) == list(range(10))
    with pytest.raises(Closed) as closed:
        await client.receive()
    assert closed.value.code == 4001
    assert len(place.notes("connect", who)) == len(place.notes("disconnect", who)) == 1


async def test_a_refusal(place: Place, flavour: str) -> None:
    with pytest.raises(Refused) as refused:
        await place.open(flavour, name("refused"))
    assert refused.value.status == 403


async def test_a_goodbye(kind: Kind, place: Place, flavour: str) -> None:
    who = name("leaves")
    client = await place.open(flavour, who)
    await ended(kind, place, client, who)
    assert not place.notes("parked", who)
    assert await client.back() == "" and client.why == "left"
    await client.leave()


@pytest.mark.parametrize("code", [1000, 1001, 4005])
async def test_a_goodbye_by_its_code(kind: Kind, place: Place, flavour: str, code: int) -> None:
    if not kind.tells_codes:
        pytest.skip("the server tells no codes")
    who = name("leaves")
    client = await place.open(flavour, who)
    await client.close(code)
    assert await place.code(who) == code
    assert not place.notes("parked", who)


async def stopped(kind: Kind, flavour: str, place: Place, who: str) -> None:
    """The server ends, and has told the consumer of a client that is away."""
    process = place.server.process
    process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(process.wait, deadline_s=STOPPED_S)
    told = len(place.notes("disconnect", who))
    assert told == 1 or (flavour == "sync" and kind.stops_at_once and not told), place.server.log()


async def test_a_stop(kind: Kind, flavour: str, tmp_path: Path) -> None:
    """Nobody who is away is waited for."""
    with started(kind.serving(APP), tmp_path) as place:
        who = name("away")
        await place.away(flavour, who)
        await stopped(kind, flavour, place, who)


@pytest.mark.slow
async def test_a_stop_after_a_long_absence(kind: Kind, flavour: str, tmp_path: Path) -> None:
    with started(kind.serving(APP), tmp_path) as place:
        who = name("away")
        await place.away(flavour, who)
        await asyncio.sleep(AWAY_S)  # the absence itself
        await stopped(kind, flavour, place, who)


STOPS = [*itertools.product(("async", "sync", "plain"), (0, 1, 2))]
QUICK_STOPS = (("async", 0), ("async", 2), ("sync", 1), ("plain", 0))


@pytest.mark.parametrize(("flavour", "returns"), slow_but(QUICK_STOPS, STOPS, several=True))
async def test_a_stop_under_a_client(kind: Kind, flavour: str, tmp_path: Path, returns: int) -> None:
    """Its link, the first one or another, ends so that it comes back, to the next server."""
    with started(kind.serving(APP), tmp_path) as place, Proxy(place.server.port) as proxy:
        who = name("stopped")
        client = await through(proxy, flavour, who)
        for number in range(returns):
            proxy.cut()
            if flavour != "plain":  # which hears nothing of it
                await place.noted("parked", who, 1 + number)
            assert await client.back() == "all"
        place.server.process.send_signal(signal.SIGTERM)
        with pytest.raises(Closed) as closed:
            while True:
                await client.receive()
        assert closed.value.code in COME_BACK
        await asyncio.to_thread(place.server.process.wait, deadline_s=STOPPED_S)
