"""Several servers in one process, each with an event loop of its own."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import pytest

from compat.resume import registry as registry_module
from compat.resume.connection import ResumableConnection
from compat.resume.outliving import outlive
from compat.resume.registry import registry
from compat.resume.relay import relay_of
from tests.support.waiting import turns
from tests.unit.resume.sockets import connected

T = TypeVar("T")


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    both = [asyncio.new_event_loop() for _ in range(2)]
    yield both
    for loop in both:
        loop.close()


async def called(call: Callable[[], T]) -> T:
    return call()


async def parked() -> ResumableConnection:
    connection, socket = await connected()
    socket.coming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await turns()
    assert connection.parked
    return connection


def test_a_server_that_stops_ends_its_own_connections_only(
    loops: list[asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_stopping", None)
    ended: list[str] = []
    for name, loop in zip(("here", "there"), loops, strict=True):
        loop.run_until_complete(called(partial(registry.opened, partial(ended.append, name))))
    here, there = (loop.run_until_complete(parked()) for loop in loops)
    loops[0].run_until_complete(called(registry.stop))
    assert (here.told, there.told) == (True, False)
    assert ended == ["here"]
    loops[1].run_until_complete(called(registry.stop))
    assert there.told and ended == ["here", "there"]
    registry.responses.clear()


def test_a_server_that_stops_waits_for_its_own_calls_only(loops: list[asyncio.AbstractEventLoop]) -> None:
    async def begun(path: str) -> asyncio.Task[None]:
        call = asyncio.ensure_future(asyncio.sleep(60))
        outlive(call, path)
        return call

    async def ended(call: asyncio.Task[None]) -> None:
        call.cancel()
        await asyncio.wait((call,))
        await turns()

    calls = [loop.run_until_complete(begun(path)) for loop, path in zip(loops, ("/1/", "/2/"), strict=True)]
    for loop, call, path in zip(loops, calls, ("/1/", "/2/"), strict=True):
        assert loop.run_until_complete(called(registry.outliving)) == {call: path}
        loop.run_until_complete(ended(call))
        assert loop.run_until_complete(called(registry.outliving)) == {}


def test_who_has_no_room_ends_in_the_loop_it_belongs_to(
    loops: list[asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "MAX_PARKED_BYTES", 2 * registry_module.PARKED_BYTES)
    empties: list[tuple[str, object]] = [("parked", OrderedDict()), ("sizes", {}), ("parked_bytes", 0)]
    for attribute, empty in empties:
        monkeypatch.setattr(registry, attribute, empty)  # without those of other tests
    first = loops[0].run_until_complete(parked())
    later = [loops[1].run_until_complete(parked()) for _ in range(2)]
    assert first.id not in registry.parked and not first.told
    loops[0].run_until_complete(called(lambda: None))
    assert first.told and registry.count_gone(first.id) == "overflow"
    assert [connection.told for connection in later] == [False, False]
    for connection in later:
        connection.give_up("gone")


def test_a_connection_is_found_in_its_own_loop_only(loops: list[asyncio.AbstractEventLoop]) -> None:
    """Was: the other one found it, could not serve it, and did not ask over the layer."""
    here = loops[0].run_until_complete(parked())
    assert [loop.run_until_complete(called(partial(registry.find, here.id))) for loop in loops] == [
        here,
        None,
    ]
    refused = partial(registry.refuse, here.id, here.generation)
    assert loops[1].run_until_complete(called(refused)) is False and not here.told
    assert loops[0].run_until_complete(called(refused)) is True and here.told


def test_each_loop_has_one_relay_on_a_layer(loops: list[asyncio.AbstractEventLoop]) -> None:
    class Layer:
        pass

    layer = Layer()
    found = [loop.run_until_complete(called(lambda: relay_of(layer))) for loop in loops * 2]
    assert found[0] is found[2] and found[1] is found[3] and found[0] is not found[1]


def test_a_loop_that_has_ended_leaves_no_relay_on_a_layer() -> None:
    class Layer:
        pass

    layer = Layer()
    ended = asyncio.new_event_loop()
    relay = weakref.ref(ended.run_until_complete(called(lambda: relay_of(layer))))
    ended.close()
    asyncio.run(called(lambda: relay_of(layer)))
    gc.collect()
    assert relay() is None
