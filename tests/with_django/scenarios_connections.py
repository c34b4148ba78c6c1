"""When database connections are closed, and when they are not."""

# mypy: disable-error-code="import-not-found, misc, untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync, sync_to_async

from tests.with_django.running import main


def open_connections() -> list[Any]:
    """Of all threads."""
    import gc

    from django.db.backends.base.base import BaseDatabaseWrapper

    made = (thing for thing in gc.get_objects() if isinstance(thing, BaseDatabaseWrapper))
    return [wrapper for wrapper in made if wrapper.connection is not None]


def in_the_database_thread(function: Callable[[], Any]) -> Any:
    return sync_to_async(function)()


async def scenario_a_consumer_hops_only_when_a_connection_is_due() -> None:
    from django import db
    from django.contrib.auth.models import User

    from compat.consumer import AsyncConsumer
    from compat.db import connections_due

    class Chat(AsyncConsumer):
        async def ask(self, message: Any) -> None:
            if message["query"]:
                await User.objects.acount()
            await self.send({"type": "answer"})

    sent: asyncio.Queue[Any] = asyncio.Queue()
    to_do: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(Chat()({"type": "test", "asgi": {}}, to_do.get, sent.put))

    async def ask(query: bool) -> int:
        with mock.patch("django.db.close_old_connections", wraps=db.close_old_connections) as closing:
            await to_do.put({"type": "ask", "query": query})
            await sent.get()
            return int(closing.call_count)

    await ask(False)
    assert [await ask(False) for _ in range(3)] == [0, 0, 0]
    assert await ask(True) == 0 and connections_due() and len(open_connections()) == 1
    assert await ask(False) == 1 and not connections_due() and not open_connections()
    assert await ask(False) == 0
    task.cancel()


async def scenario_what_is_due_is_what_django_would_close() -> None:
    from django.db import connection
    from django.test import override_settings

    from compat.db import aclose_old_connections, connections_due

    def use(**attributes: Any) -> None:
        connection.ensure_connection()
        for name, value in attributes.items():
            setattr(connection, name, value)

    async def closes(**attributes: Any) -> bool:
        await in_the_database_thread(lambda: use(**attributes))
        assert connections_due()
        await aclose_old_connections()
        assert not connections_due()
        return bool(await in_the_database_thread(lambda: connection.connection is None))

    connections_due()
    await in_the_database_thread(lambda: connection.close())
    assert await closes(close_at=0.0)
    assert await closes(close_at=None, autocommit=False)
    assert not await closes(close_at=None, errors_occurred=True)  # it still works, so it is kept
    assert not await closes(close_at=None, health_check_enabled=True, health_check_done=True)
    await in_the_database_thread(lambda: use(close_at=None, health_check_done=False))
    assert not connections_due()
    await in_the_database_thread(lambda: use(autocommit=False, in_atomic_block=True))
    assert not connections_due()  # in a transaction that somebody has begun and will end
    with override_settings():
        await in_the_database_thread(lambda: use(autocommit=True, in_atomic_block=False))


async def scenario_a_connection_of_the_loops_own_thread_is_nobodys_to_close() -> None:
    """runserver opens one there when it looks for migrations; a hop would never reach it."""
    from django.db import connection

    from compat.db import aclose_old_connections, connections_due

    def open_here() -> None:
        connection.ensure_connection()
        connection.close_at = 0.0

    # Django refuses connections in a thread that runs a loop, unless told.
    with mock.patch.dict("os.environ", DJANGO_ALLOW_ASYNC_UNSAFE="1"):
        open_here()
        await aclose_old_connections()
        assert not connections_due() and connection.connection is not None
        connection.close()


async def scenario_a_worker_threads_connection_is_its_own_business() -> None:
    """Sync consumers close theirs after each message; while one works, async consumers need not hop."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    from compat.db import aclose_old_connections, connections_due

    await aclose_old_connections()
    assert not connections_due()
    with ThreadPoolExecutor(1) as worker:
        worker.submit(lambda: connection.ensure_connection()).result()
        assert len(open_connections()) == 1 and not connections_due()
        worker.submit(lambda: connection.close()).result()


async def scenario_a_thread_per_context_is_closed_as_well() -> None:
    from asgiref.sync import ThreadSensitiveContext
    from django.contrib.auth.models import User

    from compat.db import aclose_old_connections, connections_due

    await aclose_old_connections()
    async with ThreadSensitiveContext():
        await User.objects.acount()
        assert open_connections() and connections_due()
        await aclose_old_connections()
        assert not open_connections()


async def scenario_connections_opened_before_anybody_watched_are_closed() -> None:
    from django.contrib.auth.models import User

    from compat.db import aclose_old_connections

    await User.objects.acount()
    assert [wrapper for wrapper in open_connections() if wrapper._thread_ident != threading.get_ident()]
    await aclose_old_connections()
    assert not [wrapper for wrapper in open_connections() if wrapper._thread_ident != threading.get_ident()]


async def scenario_sync_consumers_leave_no_connection_open() -> None:
    from django.contrib.auth.models import User

    from compat.generic.websocket import WebsocketConsumer

    class Chat(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data=str(User.objects.count()))

    async def talk() -> None:
        sent: asyncio.Queue[Any] = asyncio.Queue()
        to_do: asyncio.Queue[Any] = asyncio.Queue()
        scope = {"type": "websocket", "asgi": {}, "path": "/"}
        task = asyncio.create_task(Chat.as_asgi()(scope, to_do.get, sent.put))
        await to_do.put({"type": "websocket.connect"})
        assert (await sent.get())["type"] == "websocket.accept"
        for _ in range(5):
            await to_do.put({"type": "websocket.receive", "text": "?"})
            assert (await sent.get())["text"] == "0"
        await to_do.put({"type": "websocket.disconnect", "code": 1000})
        await task

    await asyncio.gather(*(talk() for _ in range(20)))
    assert not open_connections()


async def scenario_no_connection_is_left_open_under_a_communicator() -> None:
    """A test's database could not be dropped while one is: "is being accessed by other users"."""
    from django.contrib.auth.models import User

    from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
    from compat.testing import WebsocketCommunicator

    class Async(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            assert await User.objects.acount() == 0

    class Sync(WebsocketConsumer):
        def connect(self) -> None:
            assert User.objects.count() == 0
            self.accept()

    for consumer in (Async, Sync):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        assert (await communicator.connect(timeout=10))[0]
        await communicator.disconnect(timeout=10)
        assert not open_connections(), consumer


def scenario_a_test_case_keeps_its_transaction() -> None:
    """Consumers under a communicator see what the test has not committed, and do not end its transaction."""
    import unittest

    from django.contrib.auth.models import User
    from django.test import TestCase

    from compat.db import database_sync_to_async
    from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
    from compat.testing import WebsocketCommunicator

    async def count() -> Any:
        return await User.objects.acount()

    class Async(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.send_json([await count(), await database_sync_to_async(User.objects.count)()])

    class Sync(JsonWebsocketConsumer):
        def connect(self) -> None:
            self.accept()
            self.send_json([User.objects.count(), async_to_sync(count)()])

    class Users(TestCase):
        async def test_consumers_see_the_user(self) -> None:
            await User.objects.acreate(username="uncommitted")
            for consumer in (Async, Sync, Async, Sync):
                communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
                assert (await communicator.connect(timeout=10))[0]
                assert await communicator.receive_json_from(timeout=10) == [1, 1]
                await communicator.disconnect(timeout=10)
            assert await User.objects.acount() == 1

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Users).run(result)
    assert result.wasSuccessful() and result.testsRun == 1, result.errors + result.failures
    assert not User.objects.exists()


if __name__ == "__main__":
    main(__name__)
