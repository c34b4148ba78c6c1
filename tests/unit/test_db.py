"""Connections are closed around blocking calls and between messages, and nobody hops for nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from unittest import mock

import pytest
from asgiref.sync import sync_to_async

from compat import db, integration
from compat.consumer import AsyncConsumer
from compat.db import (
    DatabaseSyncToAsync,
    aclose_old_connections,
    connections_due,
    database_sync_to_async,
)
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.testing import ApplicationCommunicator, WebsocketCommunicator
from compat.types import ASGIApp, Message


class Connections:
    """A database hook that notes the thread of every close; due while ``due`` is set."""

    def __init__(self) -> None:
        self.due = False
        self.sparing = False
        self.closed_in: list[int] = []
        self.reached_in: list[int] = []

    def stale(self, *, sparing: bool = False) -> bool:
        return self.due

    def close(self, *, sparing: bool = False) -> None:
        self.sparing = sparing
        self.closed_in.append(threading.get_ident())

    def reached(self) -> None:
        self.reached_in.append(threading.get_ident())


class Framework:
    users = None

    def __init__(self) -> None:
        self.database = Connections()


@pytest.fixture
def connections() -> Iterator[Connections]:
    """The database of a framework that is registered for this test."""
    framework = Framework()
    integration.register(framework)
    yield framework.database
    integration.unregister(framework)


def add(a: int, b: int) -> int:
    return a + b


async def test_wraps_a_call() -> None:
    assert await database_sync_to_async(add)(1, b=2) == 3


async def test_decorates_functions_and_methods() -> None:
    class Shop:
        price = 5

        @database_sync_to_async
        def total(self, count: int) -> int:
            """What it costs."""
            return self.price * count

    assert await Shop().total(3) == 15
    assert Shop.total.__doc__ == "What it costs."


async def test_runs_thread_sensitive_code_in_one_thread_and_other_code_beside_it() -> None:
    where = database_sync_to_async(threading.get_ident)
    assert await where() == await where() != threading.get_ident()
    beside = DatabaseSyncToAsync(threading.get_ident, thread_sensitive=False)
    assert await beside() != await where()


async def test_refuses_a_coroutine_function() -> None:
    async def already_async() -> None: ...

    with pytest.raises(TypeError):
        database_sync_to_async(already_async)


async def test_an_exception_reaches_the_caller_and_connections_are_closed(connections: Connections) -> None:
    def fail() -> None:
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"):
        await database_sync_to_async(fail)()
    assert len(connections.closed_in) == 2


async def test_a_stop_iteration_ends_the_call() -> None:
    with pytest.raises(RuntimeError, match="sync code raised StopIteration"):
        await asyncio.wait_for(database_sync_to_async(next)(iter(())), 20)


async def test_closes_before_and_after_the_call_in_the_thread_of_the_call(connections: Connections) -> None:
    thread = await database_sync_to_async(threading.get_ident)()
    assert connections.closed_in == [thread, thread]


async def test_without_a_framework_nothing_is_due_and_no_thread_is_entered() -> None:
    assert not connections_due()
    with mock.patch("compat.db.sync_to_async", side_effect=AssertionError("a thread was entered")):
        await aclose_old_connections()


async def test_while_nothing_is_due_no_thread_is_entered(connections: Connections) -> None:
    await aclose_old_connections()
    assert connections.closed_in == []


async def test_what_is_due_is_closed_in_the_thread_of_thread_sensitive_code(connections: Connections) -> None:
    connections.due = True
    await aclose_old_connections()
    thread = await sync_to_async(threading.get_ident)()
    assert connections.closed_in == connections.reached_in == [thread]


async def test_a_replaced_close_old_connections_is_the_one_that_is_called(connections: Connections) -> None:
    with mock.patch("compat.db.close_old_connections") as replaced:
        assert connections_due()
        await aclose_old_connections()
        assert replaced.call_count == 1
        await database_sync_to_async(add)(1, 2)
        assert replaced.call_count == 3
    assert connections.closed_in == []
    assert not connections_due()


class Asks(AsyncConsumer):
    async def ask(self, message: Message) -> None:
        await database_sync_to_async(add)(1, 2)
        await self.send({"type": "answer"})


async def ask(application: ASGIApp) -> None:
    communicator = ApplicationCommunicator(application, {"type": "test"})
    await communicator.send_input({"type": "ask"})
    assert await communicator.receive_output() == {"type": "answer"}
    communicator.stop()


async def test_under_a_communicator_transactions_are_spared(connections: Connections) -> None:
    """The test may be in one, which closing would end (upstream closes nothing for it)."""
    connections.due = True
    await ask(Asks())
    assert connections.closed_in and connections.sparing


async def come_and_go(consumer: type[AsyncConsumer]) -> None:
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    await client.connect(timeout=20)
    await client.disconnect(timeout=20)


async def close_by_replaced_names() -> None:
    between = mock.patch("compat.consumer.aclose_old_connections")
    at_the_end = mock.patch("compat.db.aclose_old_connections")
    with between as closing, at_the_end as closing_last:
        await come_and_go(AsyncWebsocketConsumer)
    assert (closing.await_count, closing_last.await_count) == (2, 1)
    with mock.patch("compat.db.close_old_connections") as closing_in_threads:
        await come_and_go(WebsocketConsumer)
    assert closing_in_threads.call_count == 4  # before and after each of two handlers


async def test_consumers_close_by_the_names_that_tests_replace(connections: Connections) -> None:
    """Else asgiref's own communicator, which spares no transaction, ends the one of the test."""
    await close_by_replaced_names()
    assert connections.closed_in == []


async def test_without_a_database_they_call_the_replaced_names_too() -> None:
    await close_by_replaced_names()
    with mock.patch("compat.consumer.aclose_old_connections") as closing:
        await come_and_go(AsyncWebsocketConsumer)
    assert closing.await_count == 2


async def test_outside_of_the_application_under_test_connections_are_closed(connections: Connections) -> None:
    await ask(Asks())
    await database_sync_to_async(add)(1, 2)
    assert connections.closed_in and not connections.sparing


async def test_unregistering_the_wrong_framework_changes_nothing(connections: Connections) -> None:
    integration.unregister(Framework())
    assert integration.database() is connections


def test_it_can_be_connected_to_a_signal(connections: Connections) -> None:
    db.close_old_connections(sender=None, signal=None)
    assert len(connections.closed_in) == 1


def test_the_default_is_the_shipped_function() -> None:
    assert db.close_old_connections.__module__ == "compat.db"
