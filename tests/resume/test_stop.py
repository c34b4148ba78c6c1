"""A server stops: connections end with it, those whose clients are away too, and nobody is waited for."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.resume.place import APP, Place, name, placed, started
from tests.support.clients import Refused
from tests.support.resuming import Resuming
from tests.support.servers import worker_options
from tests.support.waiting import until_async

STOPPED_S = 30.0
"""A busy machine's time to end a process; clients that are away may be waited for 120 s."""

TWO_SERVERS = """
import sys, uvicorn
for _ in range(2):
    uvicorn.run(sys.argv[1], port=int(sys.argv[2]))
"""

STOPPED_BY_FLAG = """
import signal, sys, uvicorn
where = dict(app=sys.argv[1], port=int(sys.argv[2]))
first = uvicorn.Server(uvicorn.Config(**where, timeout_graceful_shutdown=eval(sys.argv[3])))
signal.signal(signal.SIGUSR1, lambda *signal: setattr(first, "should_exit", True))
first.run()
uvicorn.run(**where)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path) as place:
        yield place


async def stopped(place: Place, number: signal.Signals = signal.SIGTERM) -> None:
    place.server.process.send_signal(number)
    await asyncio.to_thread(place.server.process.wait, deadline_s=STOPPED_S)
    place.no_failure()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_a_stop_waits_for_nobody_who_is_away(place: Place, number: signal.Signals) -> None:
    away = {flavour: name("away") for flavour in ("async", "sync")}
    for flavour, who in away.items():
        client = await place.away(flavour, who)
        await place.tell(who, "count 0 10")
    plain = name("plain")
    client = await place.open("plain", plain)
    client.cut()
    await place.parked(3)
    here = {flavour: name("here") for flavour in ("async", "sync", "plain")}
    clients = [await place.open(flavour, who) for flavour, who in here.items()]
    endings = [asyncio.ensure_future(client.closed()) for client in clients]
    await stopped(place, number)
    assert await asyncio.gather(*endings) == [1012] * 3
    for who in (*away.values(), plain, *here.values()):
        assert await place.code(who) == 1012, who


async def test_a_stop_waits_for_nobody_who_has_come_back(place: Place) -> None:
    """The server's own call is that of a link that has ended long ago."""
    names = {how: name("back") for how in ("away again", "taken over", "taken over and away")}
    for flavour in ("async", "sync"):
        for how, who in names.items():
            client = await place.open(flavour, who + flavour)
            if how == "away again":
                client.cut()
            assert await client.back() == "all"
            await client.pong()
            if how != "taken over":
                client.cut()
    await place.parked(4)
    await stopped(place)
    for who in names.values():
        for flavour in ("async", "sync"):
            assert await place.code(who + flavour) == 1012, who


async def test_a_stop_waits_for_no_client_that_does_not_answer(place: Place) -> None:
    who = name("silent")
    client = await place.open("async", who)
    client.link.transport.pause_reading()
    assert isinstance(client, Resuming)
    await stopped(place)
    assert await place.code(who) == 1012
    client.cut()


async def test_a_stop_waits_for_no_consumer_that_waits_for_its_client(place: Place) -> None:
    """One asks whether its client has got something, one has filled its journal."""
    names = []
    for flavour in ("async", "sync"):
        for command in ("delivered 600", "count 0 2000"):
            names.append(name("waits"))
            client = await place.open(flavour, names[-1])
            client.acks = False
            await client.send("echo 1")
            await client.send(command)
            await client.numbers(1 if command.startswith("delivered") else 1000)
    await stopped(place)
    for who in names:
        assert await place.code(who) == 1012, who


async def test_a_drain_ends_those_who_are_away_too(tmp_path: Path) -> None:
    with placed(tmp_path, RESUME_DRAIN="1") as place:
        away, here = name("away"), name("here")
        await place.away("async", away)
        client = await place.open("async", here)
        ending = asyncio.ensure_future(client.closed())
        await stopped(place)
        assert await ending == 1012
        for who in (away, here):
            assert await place.code(who) == 1012, who


async def test_a_server_that_drains_sends_clients_on(tmp_path: Path) -> None:
    """With a status that what balances the load may try another server after. Was: 101, and a close."""
    with placed(tmp_path, RESUME_DRAIN="4") as place:
        clients = [await place.open("async", name("here")) for _ in range(3)]
        endings = {asyncio.ensure_future(client.closed()): client for client in clients}
        place.server.process.send_signal(signal.SIGTERM)
        done, rest = await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        for attempt in (endings[done.pop()].back, partial(place.open, "async", name("new"))):
            with pytest.raises(Refused) as refused:
                await attempt()
            assert refused.value.status == 503
        assert set(await asyncio.gather(*rest)) == {1012}
        await asyncio.to_thread(place.server.process.wait, deadline_s=STOPPED_S)
        place.no_failure()


async def test_several_workers_stop(tmp_path: Path) -> None:
    with placed(tmp_path, *worker_options(2)) as place:
        names = [name("away") for _ in range(6)]
        for who in names:
            await place.away("async", who)
        here = await place.open("sync", name("here"))
        ending = asyncio.ensure_future(here.closed())
        await stopped(place)
        assert await ending == 1012
        for who in names:
            assert await place.code(who) == 1012, who


async def test_another_server_says_that_the_connection_is_gone(tmp_path: Path) -> None:
    with placed(tmp_path) as first:
        client = await first.open("async", name("moves"))
        await client.send("echo 1")
        assert await client.numbers(1) == [1]
        ending = asyncio.ensure_future(client.closed())
        await stopped(first)
        assert await ending == 1012
    with placed(tmp_path) as second:
        assert await client.back(to=second.server) == ""
        assert client.why in ("gone", "elsewhere")
        await client.send("echo 2")
        assert await client.numbers(1) == [2]
        await client.leave()
        second.no_failure()


async def test_a_server_after_another_in_one_process_parks_too_and_stops(tmp_path: Path) -> None:
    with started((sys.executable, "-c", TWO_SERVERS, APP, "{port}"), tmp_path) as place:
        for count in (1, 2):
            await until_async(partial(_has_started, place, count), f"server {count} runs")
            who = name("away")
            await place.away("async", who)
            place.server.process.send_signal(signal.SIGINT)
            assert await place.code(who) == 1012
        assert await asyncio.to_thread(place.server.process.wait, deadline_s=STOPPED_S) == 0
        place.no_failure()


async def test_a_server_that_stops_without_a_signal_waits_for_nobody_who_is_away(tmp_path: Path) -> None:
    with placed(tmp_path, "--limit-max-requests", "1") as place:
        away = {flavour: name("away") for flavour in ("async", "sync", "plain")}
        for flavour, who in away.items():
            client = await place.open(flavour, who)
            client.cut()
        again = await place.open("async", name("again"))
        again.cut()
        assert await again.back() == "all"
        await place.resumable()  # one request is all that this server takes
        await asyncio.to_thread(place.server.process.wait, deadline_s=STOPPED_S)
        for who in away.values():
            assert await place.code(who) == 1012, who
        place.no_failure()


@pytest.mark.parametrize("graceful_s", ["None", "0"])
async def test_a_server_after_one_that_a_program_has_stopped(tmp_path: Path, graceful_s: str) -> None:
    """With no time for its tasks, the first server cancels the consumers of clients that are away."""
    command = (sys.executable, "-c", STOPPED_BY_FLAG, APP, "{port}", graceful_s)
    with started(command, tmp_path) as place:
        await until_async(partial(_has_started, place, 1), "the first server runs")
        await place.away("async", name("away"))
        place.server.process.send_signal(signal.SIGUSR1)
        await until_async(partial(_has_started, place, 2), "the second server runs")
        numbers = await place.resumable()
        assert (numbers["live"], numbers["parked"]) == (0, 0)
        place.seen = len(place.server.log())  # uvicorn logs what it cancels
        who = name("away")
        await place.away("async", who)
        await stopped(place)
        assert await place.code(who) == 1012


def _has_started(place: Place, count: int) -> bool:
    return place.server.log().count("Uvicorn running") == count
