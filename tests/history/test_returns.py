"""Who comes back to a new consumer gets what its groups have missed: rows H3, H6, H7, P3 and P4."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from compat import tickets
from compat.settings import override
from tests.history.fleet import LAYERS, SECRET, Fleet, fleet_on, room
from tests.support.choices import slow_but
from tests.support.clients import Refused
from tests.support.fallback import Posting
from tests.support.resuming import Closed, Resuming, end_links
from tests.support.servers import Server
from tests.support.waiting import until_awaited

SLOW = pytest.mark.slow
PATIENT = {"HISTORY_PATIENCE": "5"}
"""Of a server that relays; the others find out soon that the home of a connection is dead."""
KINDS = ["pubsub", *(pytest.param(kind, marks=SLOW) for kind in ("queue", "streams"))]


@pytest.fixture(autouse=True)
async def links_end() -> AsyncIterator[None]:
    yield
    await end_links()


@pytest.fixture(params=KINDS)
def fleet(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_on(request.param, redis_url, tmp_path) as made:
        yield made
        made.no_failure()


async def positioned(client: Resuming) -> None:
    """Wait until the client's ticket says what it has of its room: it comes with the hello, or unasked."""
    while not _cursors(client.ticket):
        await client._read()


def _cursors(ticket: str | None) -> object:
    if not ticket:
        return ()
    with override(SECRET_KEY=SECRET):
        return tickets.read(ticket)[0].cursors


@pytest.mark.parametrize("flavour", ["async", "sync", pytest.param("several", marks=SLOW)])
async def test_history_P4_a_killed_server(fleet: Fleet, flavour: str) -> None:
    here, there, where = fleet.start(), fleet.start(), room("killed")
    await fleet.say(there, where, 1, 20)
    client = await fleet.client(here, flavour, where).open()
    assert await client.numbers(5) == [16, 17, 18, 19, 20]
    await positioned(client)
    await fleet.say(there, where, 21, 25)
    assert await client.numbers(5) == [21, 22, 23, 24, 25]
    here.process.stop(signal.SIGKILL)
    await fleet.say(there, where, 26, 40)
    assert await client.back(to=there) == "groups", client.why
    got = await client.numbers_until(40)
    assert got == list(range(got[0], 41)), "in order, without a hole"
    assert got[0] in range(16, 27), "what the last ticket did not know comes twice"
    await fleet.say(there, where, 41, 42)
    assert await client.numbers(2) == [41, 42]
    assert (await fleet.ask(there, "numbers"))["resumable"]["groups"] == 1


@pytest.mark.parametrize("drain", ["0", pytest.param("0.5", marks=pytest.mark.slow)])
@pytest.mark.parametrize("flavour", ["async", "sync"])
async def test_history_P3_a_server_that_stops_in_order(fleet: Fleet, flavour: str, drain: str) -> None:
    here, there, where = fleet.start(HISTORY_DRAIN=drain), fleet.start(), room("stopped")
    clients = [await fleet.client(here, flavour, where).open() for _ in range(5)]
    for client in clients:
        await positioned(client)
        # They read nothing while the server ends, and what they sent to it then would reset the connection:
        # the kernel forgets what has not been read, the last ticket for one.
        client.acks = False
    saying = asyncio.ensure_future(fleet.say(there, where, 1, 300))
    for client in clients:
        assert await client.numbers(20) == list(range(1, 21))
    here.process.stop(signal.SIGTERM)
    for client in clients:
        await client.closed()
        assert await client.back(to=there) == "groups", client.why
    await saying
    for client in clients:
        assert await client.numbers_until(300) == list(range(21, 301)), "none lost, and none twice"


@pytest.mark.parametrize("drain", slow_but(("0.5",), ["0", "0.5"]))
async def test_history_P3_a_server_that_stops_waits_for_the_handler_of_a_relayed_client(
    fleet: Fleet, drain: str
) -> None:
    home, peer, there = fleet.start(HISTORY_DRAIN=drain), fleet.start(**PATIENT), fleet.start()
    where = room("worked")
    client = await fleet.client(home, "working", where).open()
    await positioned(client)
    client.cut()
    assert await client.back(to=peer) == "all"
    await fleet.say(there, where, 1, 1)
    assert await client.numbers(1) == [1]
    home.process.send_signal(signal.SIGTERM)
    assert await client.closed() == 1012
    await asyncio.to_thread(home.process.wait)
    assert await client.back(to=there) == "groups", client.why
    await fleet.say(there, where, 2, 2)
    assert await client.numbers(1) == [2], "none lost, and none twice"


@pytest.mark.parametrize("drain", ["0", pytest.param("0.5", marks=SLOW)])
@pytest.mark.parametrize("relayed", [False, pytest.param(True, marks=SLOW)])
async def test_history_P3_a_server_that_stops_waits_for_the_handler_of_a_client_of_requests(
    fleet: Fleet, drain: str, relayed: bool
) -> None:
    fleet.env["CHANNEL_FALLBACK"] = "1"
    home, there, where = fleet.start(HISTORY_DRAIN=drain), fleet.start(), room("worked")
    peer = fleet.start(**PATIENT) if relayed else home
    async with Posting(home, f"/working/{where}/") as client:
        await client.ask()
        while not _cursors(client.ticket):
            await client.hello()
        assert (await (await client.to(peer).ask()).hello())["recovered"] == "all"
        await fleet.say(there, where, 1, 1)
        assert await client.frame() == "1"
        home.process.send_signal(signal.SIGTERM)
        assert await client.rest() == []
        assert client.end[0] == 1012
        await asyncio.to_thread(home.process.wait)
        await (await client.to(there).ask()).hello()
        await fleet.say(there, where, 2, 2)
        assert await client.frame() == "2", "none lost, and none twice"


@pytest.mark.parametrize("flavour", ["async", "sync", pytest.param("several", marks=SLOW)])
async def test_who_is_asked_to_come_back_later_gets_nothing_twice(fleet: Fleet, flavour: str) -> None:
    here, there, where = fleet.start(), fleet.start(), room("later")
    client = await fleet.client(here, flavour, where).open()
    await positioned(client)
    await fleet.say(there, where, 1, 20)
    assert await client.numbers(20) == list(range(1, 21))
    await client.send("later")
    assert await client.closed() == 1013
    await fleet.say(there, where, 21, 22)
    assert await client.back(to=there) == "groups", client.why
    assert await client.numbers(2) == [21, 22]


async def test_who_comes_to_a_server_that_stops_is_turned_away(fleet: Fleet) -> None:
    """It would be given what it has missed, and then no ticket that says so: all of it came twice."""
    home, here, there, where = fleet.start(), fleet.start(), fleet.start(), room("leaving")
    slow = await fleet.client(here, "slow", where).open()
    client = await fleet.client(home, "async", where).open()
    await fleet.say(there, where, 1, 20)
    assert await client.numbers(20) == list(range(1, 21))
    await positioned(slow)
    home.process.stop(signal.SIGTERM)
    await client.closed()
    await fleet.say(there, where, 21, 30)
    before = slow.ticket
    here.process.send_signal(signal.SIGTERM)
    while slow.ticket == before:  # the server stops, and waits for a handler of this one
        await slow._read()
    with pytest.raises((OSError, Refused, Closed)):
        await client.back(to=here)
    assert not client.frames
    assert await client.back(to=there) == "groups", client.why
    assert await client.numbers(10) == list(range(21, 31)), "none lost, and none twice"


@pytest.mark.parametrize("outcome", ["groups", ""])
async def test_an_outcome_that_was_lost_with_its_link_comes_on_the_next_one(
    fleet: Fleet, redis_url: str, outcome: str
) -> None:
    here, there, where = fleet.start(), fleet.start(), room("unheard")
    client = await fleet.client(here, "async", where).open()
    await positioned(client)
    here.process.stop(signal.SIGKILL)
    if not outcome:
        with redis.Redis.from_url(redis_url) as wire:
            wire.delete(*wire.scan_iter(f"{fleet.env['HISTORY_PREFIX']}:*chat_{where}"))
    await client.present(to=there)
    assert client.recovered is None, "it has its new connection, and is told nothing yet"
    await until_awaited(partial(_judged, fleet, there), 1)
    client.cut()
    assert await client.back() == "all", "its new connection is there"
    said = await client.told("verdict")
    assert said["recovered"] == outcome, "it is told of its former one"
    client.cut()
    assert await client.back() == "all"
    await client.pong()
    assert not client.controls, "it is told once"


async def _judged(fleet: Fleet, server: Server) -> int:
    """How many clients a server has told what was recovered."""
    counts = (await fleet.ask(server, "numbers"))["resumable"]
    return int(counts["groups"] + counts["lost"].get("history", 0))


async def test_a_group_without_a_message_has_been_missed_too(fleet: Fleet) -> None:
    here, there, where = fleet.start(), fleet.start(), room("quiet")
    client = await fleet.client(here, "async", where).open()
    await positioned(client)
    here.process.stop(signal.SIGKILL)
    await fleet.say(there, where, 1, 3)
    assert await client.back(to=there) == "groups", client.why
    assert await client.numbers(3) == [1, 2, 3]


@pytest.mark.parametrize("how", ["trimmed", "flushed", "forgotten position"])
async def test_history_H3_what_is_gone_is_never_claimed(fleet: Fleet, redis_url: str, how: str) -> None:
    rule = '{"count": 5, "on_join": 2}'
    here, there = fleet.start(HISTORY_RULE=rule), fleet.start(HISTORY_RULE=rule)
    where = room("gone")
    client = await fleet.client(here, "async", where).open()
    await positioned(client)
    await fleet.say(there, where, 1, 1)
    assert await client.numbers(1) == [1]
    here.process.stop(signal.SIGKILL)
    if how == "trimmed":
        await fleet.say(there, where, 2, 8)
    else:
        await fleet.say(there, where, 2, 3)
        with redis.Redis.from_url(redis_url) as wire:
            prefix = fleet.env["HISTORY_PREFIX"]
            keys = list(wire.scan_iter(f"{prefix}:*{'position' if how != 'flushed' else ''}*chat_{where}"))
            assert keys
            wire.delete(*keys)
        await fleet.say(there, where, 4, 8)
    assert await client.back(to=there) == ""
    assert client.why == "history"
    assert await client.numbers(2) == [7, 8], "what a newcomer gets"


async def test_history_H6_who_was_excluded_is_so_in_its_replay(fleet: Fleet) -> None:
    here, there, where = fleet.start(), fleet.start(), room("excluded")
    one = await fleet.client(here, "async", where).open()
    other = await fleet.client(there, "async", where).open()
    for client in (one, other):
        await positioned(client)
    await one.send("others")
    await one.send("7")
    assert await other.numbers(2) == [1, 7]  # number_of() has no sign
    assert await one.numbers(1) == [7]
    here.process.stop(signal.SIGKILL)
    assert await one.back(to=there) == "groups"
    got = await one.numbers_until(7)
    assert got == [7], "it comes twice, and what it was excluded from does not come"


async def test_history_H7_a_page_that_loads_and_then_connects(fleet: Fleet) -> None:
    here, there, where = fleet.start(), fleet.start(), room("page")
    await fleet.say(here, where, 1, 3)
    page = await fleet.ask(here, "page", room=where)
    assert page["numbers"] == [1, 2, 3]
    await fleet.say(here, where, 4, 30)
    client = fleet.client(there, "async", where)
    assert await client.back(ticket=page["ticket"], received=0) == "groups"
    assert client.why == "page"
    assert await client.numbers(27) == list(range(4, 31)), "and not the last five that a newcomer gets"
    empty = room("page")
    page_of_nothing = await fleet.ask(here, "page", room=empty)
    await fleet.say(here, empty, 1, 8)
    first = fleet.client(there, "async", empty)
    assert await first.back(ticket=page_of_nothing["ticket"], received=0) == "groups"
    assert await first.numbers(8) == list(range(1, 9))
    elsewhere = fleet.client(there, "async", room("other"))
    assert await elsewhere.back(ticket=page["ticket"], received=0) == "", "another group than it is for"


async def test_history_H8_strangers_and_what_is_not_known(fleet: Fleet) -> None:
    if fleet.env["HISTORY_LAYER"] == LAYERS["streams"]:
        pytest.skip("the streams layer has no mixed fleets")
    here, there, where = fleet.start(), fleet.start(), room("mixed")
    stranger = fleet.start(HISTORY_RULE="")
    client = await fleet.client(here, "async", where).open()
    watcher = await fleet.client(there, "async", where).open()
    await positioned(client)
    await fleet.say(there, where, 1, 2)
    await fleet.say(stranger, where, 3, 3)
    await fleet.say(there, where, 4, 4)
    for one in (client, watcher):
        assert sorted(await one.numbers(4)) == [1, 2, 3, 4]
    page = (await fleet.ask(there, "said", room=where))["numbers"]
    assert page == [1, 2, 4]
    here.process.stop(signal.SIGKILL)
    assert await client.back(to=there) == "", "its ticket is from before the stranger's message"
    assert there.log().count("keeps no history") == 1


async def test_the_memory_layer_knows_its_own_process(tmp_path: Path, redis_url: str) -> None:
    with fleet_on("queue", redis_url, tmp_path) as fleet:
        fleet.env["HISTORY_LAYER"] = "compat.layers.InMemoryChannelLayer"
        del fleet.env["HISTORY_REDIS"]
        server, where = fleet.start(), room("memory")
        await fleet.say(server, where, 1, 3)
        page = await fleet.ask(server, "page", room=where)
        await fleet.say(server, where, 4, 9)
        client = fleet.client(server, "sync", where)
        assert await client.back(ticket=page["ticket"], received=0) == "groups"
        assert await client.numbers(6) == list(range(4, 10))
        fleet.no_failure()
