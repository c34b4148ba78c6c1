"""How many may connect: as many as a limit says, and again when they have left, however they left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from compat.closing import close_user
from compat.engine.admissions import admissions
from compat.exceptions import StopConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.settings import override
from tests.support.clients import Client, Refused
from tests.support.conversations import Conversation
from tests.support.servers import LiveServer
from tests.support.waiting import until


class Ends(AsyncWebsocketConsumer):
    """Ends as its client asks."""

    user_groups = True

    async def connect(self) -> None:
        if self.scope["path"] == "/raises/":
            raise RuntimeError("as asked")
        await (self.close() if self.scope["path"] == "/closes/" else self.accept())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "raise":
            raise RuntimeError("as asked")
        if text_data == "stop":
            raise StopConsumer
        if text_data == "close":
            await self.close(4000)


class EndsInThreads(WebsocketConsumer):
    """The same for a sync consumer."""

    user_groups = True

    def connect(self) -> None:
        if self.scope["path"] == "/raises/":
            raise RuntimeError("as asked")
        if self.scope["path"] == "/closes/":
            self.close()
        else:
            self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "raise":
            raise RuntimeError("as asked")
        if text_data == "stop":
            raise StopConsumer
        if text_data == "close":
            self.close(4000)


class EndsOnOneThread(EndsInThreads):
    thread_sensitive = True


CONSUMERS = pytest.mark.parametrize("consumer", [Ends, EndsInThreads, EndsOnOneThread])
OTHERS: dict[str, dict[str, Any]] = {
    "CHANNEL_MAX_CONNECTIONS": {},
    "CHANNEL_MAX_CONNECTIONS_PER_CLIENT": {"client": ("10.0.0.2", 1)},
    "CHANNEL_MAX_CONNECTIONS_PER_USER": {"user": SimpleNamespace(pk=2, is_authenticated=True)},
}
"""Each limit, and what of a scope makes it another one's place."""


@pytest.fixture(autouse=True)
def nobody_is_left(layer: InMemoryChannelLayer) -> Iterator[None]:
    yield
    assert not admissions._here


async def seat(app: Any, path: str = "/ws/", **scope: Any) -> Conversation | None:
    """One more connection; None where it was refused."""
    conversation = Conversation(app, path)
    user = SimpleNamespace(pk=1, is_authenticated=True)
    conversation.scope.update({"client": ("10.0.0.1", 1), "user": user, **scope})
    connected, _ = await conversation.connect()
    if not connected:
        await conversation.disconnect()
    return conversation if connected else None


async def seats(number: int, app: Any, **scope: Any) -> list[Conversation]:
    """That many connections, and not one more."""
    taken = [await seat(app, **scope) for _ in range(number)]
    assert all(taken), f"{number} may connect"
    assert await seat(app, **scope) is None, f"no more than {number} may connect"
    return [one for one in taken if one is not None]


@CONSUMERS
@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("setting", OTHERS)
async def test_faults_tests_limits_admit_as_many_as_they_say(setting: str, limit: int, consumer: Any) -> None:
    app, other = consumer.as_asgi(), OTHERS[setting]
    with override(**{setting: limit}):
        taken = await seats(limit, app)
        for one in await seats(limit, app, **other) if other else ():
            await one.disconnect()
        for _ in range(limit):  # one place is free, and then taken
            await taken.pop(0).disconnect()
            taken += await seats(1, app)
        for one in taken:
            await one.disconnect()
        for one in await seats(limit, app):
            await one.disconnect()


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_one_client_has_a_whole_ipv6_subnet(limit: int) -> None:
    app = Ends.as_asgi()
    with override(CHANNEL_MAX_CONNECTIONS_PER_CLIENT=limit):
        taken = [await seat(app, client=(f"2001:db8:1:2::{number}", 1)) for number in range(1, limit + 1)]
        assert all(taken) and await seat(app, client=("2001:db8:1:2:ffff::", 1)) is None
        taken.append(await seat(app, client=("2001:db8:1:3::1", 1)))
        for one in taken:
            assert one is not None, "the next subnet is another client"
            await one.disconnect()


async def client_leaves(one: Conversation) -> None:
    await one.disconnect(1001)


async def consumer_closes(one: Conversation) -> None:
    await one.send_to(text_data="close")
    assert (await one.receive_output())["code"] == 4000
    await one.disconnect()


async def consumer_stops(one: Conversation) -> None:
    await one.send_to(text_data="stop")
    await one.wait()


async def handler_raises(one: Conversation) -> None:
    await one.send_to(text_data="raise")
    assert await one.closed() == 1011


async def message_is_too_big(one: Conversation) -> None:
    await one.send_to(text_data="x" * 51)
    assert await one.closed() == 1009


async def user_is_kicked(one: Conversation) -> None:
    await close_user(1)
    assert (await one.receive_output())["code"] == 1008
    await one.disconnect()


async def task_is_cancelled(one: Conversation) -> None:
    one.future.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await one.future


ENDS = [
    client_leaves,
    consumer_closes,
    consumer_stops,
    handler_raises,
    message_is_too_big,
    user_is_kicked,
    task_is_cancelled,
]


@CONSUMERS
@pytest.mark.parametrize("end", ENDS)
async def test_faults_tests_limits_free_a_place_at_every_end(
    end: Callable[[Conversation], Awaitable[None]], consumer: Any
) -> None:
    app = consumer.as_asgi()
    limits = dict.fromkeys(OTHERS, 2)
    with override(**limits, CHANNEL_MAX_MESSAGE_SIZE=50):
        for _ in range(3):
            one = await seat(app)
            assert one is not None
            await end(one)
            assert not admissions._here


@CONSUMERS
@pytest.mark.parametrize("path", ["/closes/", "/raises/"])
async def test_faults_tests_limits_free_the_place_of_a_refused_client(path: str, consumer: Any) -> None:
    with override(**dict.fromkeys(OTHERS, 2)):
        for _ in range(3):
            assert await seat(consumer.as_asgi(), path) is None
        for one in await seats(2, consumer.as_asgi()):
            await one.disconnect()


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_faults_tests_limits_behind_a_server(limit: int) -> None:
    with override(CHANNEL_MAX_CONNECTIONS=limit), LiveServer(Ends.as_asgi()) as server:
        clients = [Client(server, "/") for _ in range(limit)]
        with pytest.raises(Refused) as refused:
            Client(server, "/")
        assert refused.value.status == 503
        clients.pop().drop()
        until(lambda: sum(admissions._here.values()) == limit - 1, "a lost connection is no longer counted")
        clients.append(Client(server, "/"))
        for client in clients:
            client.close()
        until(lambda: not admissions._here, "all places are free")
