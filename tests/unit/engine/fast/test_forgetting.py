"""What a handshake has left is forgotten, and nothing that the server needs yet."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from compat.engine.fast.forgetting import NOBODY_WAITS, forget_handshake
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.patterns import path
from compat.routing import URLRouter
from tests.support.clients import Client
from tests.support.resuming import Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("layer")

SAID = {"X-Said": "hello"}


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=f"{text_data} {dict(self.scope['headers'])[b'x-said'].decode()}")


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=f"{text_data} {dict(self.scope['headers'])[b'x-said'].decode()}")


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with LiveServer(URLRouter([path("async/", Echo.as_asgi()), path("sync/", SyncEcho.as_asgi())])) as server:
        yield server


def protocol() -> Any:
    """The server's, of the one connection that is open."""
    found = [one for one in gc.get_objects() if type(one).__name__ == "WebSocketsSansIOProtocol"]
    (only,) = [one for one in found if not one.transport.is_closing()]
    return only


def assert_forgotten(protocol: Any) -> None:
    assert protocol.request is None
    assert protocol.response is None
    kept = protocol.conn.parser.gi_frame.f_locals.get("request")  # None if it was read here
    assert kept is None or kept.headers is None
    kept = [one for one in vars(protocol.queue).values() if isinstance(one, deque | asyncio.Event)]
    assert [type(one) for one in kept if one is not NOBODY_WAITS] == [deque, deque], (
        "its messages, and who waits for one"
    )
    conn = protocol.conn
    assert (conn.id, conn.available_extensions) == (None, ())
    assert conn.extensions != [], "a list of none"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_the_application_has_its_headers_and_the_server_forgets_them(server: LiveServer, kind: str) -> None:
    with Client(server, f"/{kind}/", headers=SAID) as client:
        for text in ("1", "2"):
            client.send(text)
            assert client.receive() == f"{text} hello"
        # A worker's frames may be here before the loop goes on.
        until(lambda: protocol().request is None, "the handshake is forgotten")
        assert_forgotten(protocol())
        for size in (125, 70_000):  # more than one frame in the queue
            for _ in range(20):
                client.send("x" * size)
            assert [client.receive() for _ in range(20)] == ["x" * size + " hello"] * 20


async def test_a_client_that_comes_back(server: LiveServer) -> None:
    client = await Resuming(server, "/async/", headers=SAID).open()
    for _ in range(2):
        await client.send("1")
        assert await client.receive() == "1 hello"
        assert_forgotten(protocol())
        client.cut()
        await client.link.wait_closed()
        assert await client.back() == "all"
    await client.leave()
    await end_links()


def handshake(*, complete: bool, queue: asyncio.Queue[Any]) -> Any:
    request = SimpleNamespace(headers={"host": "example.com"})
    conn = SimpleNamespace(extensions=[])
    return SimpleNamespace(
        handshake_complete=complete, request=request, response=object(), queue=queue, conn=conn
    )


def test_nothing_is_forgotten_before_its_end() -> None:
    open_yet = handshake(complete=False, queue=asyncio.Queue())
    assert not forget_handshake(open_yet)
    assert open_yet.request.headers
    assert open_yet.response is not None
    assert isinstance(open_yet.queue._putters, deque)
    assert forget_handshake(None), "without a server's protocol there is nothing to wait for"


async def test_a_queue_that_is_used_otherwise_stays_as_it_is() -> None:
    class Own(asyncio.Queue[int]):
        pass

    bounded, own, joined = asyncio.Queue[int](1), Own(), asyncio.Queue[int]()
    joined.put_nowait(1)
    waits = asyncio.create_task(joined.join())
    await asyncio.sleep(0)
    for queue in (bounded, own, joined):
        assert forget_handshake(handshake(complete=True, queue=queue))
        queue.put_nowait(1)
    putting = asyncio.create_task(bounded.put(2))
    await asyncio.sleep(0)
    assert [await bounded.get(), await bounded.get()] == [1, 2]
    await putting
    for _ in range(2):
        assert await joined.get() == 1
        joined.task_done()
    await waits
