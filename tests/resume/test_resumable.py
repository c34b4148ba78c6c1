"""``Resumable`` around a plain endpoint: what its options do."""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.authentication import SimpleUser
from starlette.websockets import WebSocket

from compat.fallback import Fallback
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.resume import Resumable
from tests.resume.place import name
from tests.support.clients import Refused
from tests.support.resuming import PROTOCOL, Closed, Resuming, end_links
from tests.support.servers import LiveServer
from tests.support.waiting import until_async

scopes: list[Any] = []
left: list[int] = []


async def endpoint(scope: Any, receive: Any, send: Any) -> None:
    """Accept the first subprotocol that is offered, and echo."""
    scopes.append(scope)
    websocket = WebSocket(scope, receive, send)
    await websocket.accept(next(iter(scope["subprotocols"]), None))
    while (message := await receive())["type"] != "websocket.disconnect":
        await websocket.send_text(message["text"])
    left.append(message["code"])


@pytest.fixture(autouse=True)
def fresh() -> None:
    scopes.clear()
    left.clear()


@pytest.mark.parametrize("others", [[], ["graphql-ws"]])
async def test_with_no_time_an_endpoint_sees_nothing_of_it(others: list[str]) -> None:
    with LiveServer(Resumable(endpoint, seconds=0)) as server:
        client = Resuming(server, f"/{name('off')}", protocols=others)
        await client.present(ticket="abc", hear=False)
        await client.link.send("first")
        assert await client.link.recv() == "first", "no hello comes before it"
        [scope] = scopes
        assert scope["subprotocols"] == others and client.link.subprotocol in (None, *others)
        headers = dict(scope["headers"]).get(b"sec-websocket-protocol", b"").decode()
        assert PROTOCOL not in headers and "channels.ticket." not in headers
        await end_links()


class Room:
    """Its method is an endpoint."""

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())


async def function(websocket: WebSocket) -> None:
    await Room().serve(websocket)


async def any_call(*call: Any) -> None:
    await endpoint(*call)


@functools.wraps(function)
async def decorated(scope: Any, receive: Any, send: Any) -> None:
    await endpoint(scope, receive, send)


@pytest.mark.parametrize("app", [endpoint, any_call, decorated])
async def test_an_application_is_called_as_one(app: Any) -> None:
    with LiveServer(Resumable(app)) as server:
        client = await Resuming(server, f"/{name('application')}").open()
        await client.send("one")
        assert await client.receive() == "one"
        await client.leave()


@pytest.mark.parametrize("app", [function, Room().serve])
async def test_a_function_of_a_websocket_is_an_endpoint(app: Any) -> None:
    """Was: a TypeError at the first connection, which said nothing of Resumable."""
    with LiveServer(Resumable(app)) as server:
        client = await Resuming(server, f"/{name('function')}").open()
        await client.send("one")
        assert await client.receive() == "ONE"
        client.cut()
        assert await client.back() == "all"
        await client.leave()


def test_what_is_no_endpoint_is_explained() -> None:
    with pytest.raises(TypeError, match=r"Resumable\(\): .*Write AsyncWebsocketConsumer\.as_asgi\(\)"):
        Resumable(AsyncWebsocketConsumer)
    for wrapped in (Resumable(endpoint), Fallback(endpoint)):
        with pytest.raises(TypeError, match="is an ASGI application, not an endpoint"):
            FastAPI().add_api_websocket_route("/ws", wrapped)


async def test_a_key_names_who_may_come_back() -> None:
    def key(scope: Any) -> str:
        return str(dict(scope["headers"]).get(b"x-api-key"))

    with LiveServer(Resumable(endpoint, key=key)) as server:
        client = await Resuming(server, f"/{name('key')}", headers={"X-Api-Key": "ann"}).open()
        client.cut()
        assert await client.back() == "all"
        client.headers = {"X-Api-Key": "bob"}
        client.cut()
        assert (await client.back(), client.why) == ("", "user")
        assert len(scopes) == 2
        await client.leave()


async def test_a_user_of_starlette_comes_back_and_no_other_one() -> None:
    async def authenticated(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = SimpleUser(dict(scope["headers"])[b"x-user"].decode())  # another object each time
        await Resumable(endpoint)(scope, receive, send)

    with LiveServer(authenticated) as server:
        client = await Resuming(server, f"/{name('user')}", headers={"X-User": "ada"}).open()
        for _ in range(3):
            client.cut()
            assert await client.back() == "all"
        client.cut()
        client.headers = {"X-User": "eve"}
        assert (await client.back(), client.why) == ("", "user")
        await client.leave()


async def test_a_user_without_a_key_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    class User:
        is_authenticated = True

    async def authenticated(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = User()
        await Resumable(endpoint)(scope, receive, send)

    with LiveServer(authenticated) as server:
        with pytest.raises(Refused):
            await Resuming(server, f"/{name('keyless')}").open()
        await until_async(lambda: "has no key" in caplog.text, "the log says why")
        assert "resume_key(scope)" in caplog.text and not scopes


async def test_seconds_say_how_long_it_waits() -> None:
    with LiveServer(Resumable(endpoint, seconds=0.2)) as server:
        client = await Resuming(server, f"/{name('time')}").open()
        assert client.park == 0.2
        client.cut()
        await until_async(lambda: left == [1006], "its time is over")
        assert (await client.back(), client.why) == ("", "gone")
        await client.leave()


async def test_middleware_whose_sends_have_a_time_limit() -> None:
    """A time limit needs a task, and a pong is sent where none runs."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        async def in_time(message: Any) -> None:
            with anyio.fail_after(30):
                await send(message)

        await Resumable(endpoint)(scope, receive, in_time)

    with LiveServer(limited) as server:
        client = await Resuming(server, f"/{name('limited')}").open()
        for turn in range(2):
            await client.pong()
            await client.send(f"{turn}")
            assert await client.receive() == f"{turn}"
            client.cut()
            assert await client.back() == "all"
        await client.leave()


@pytest.mark.parametrize(
    ("own", "code"),
    [
        (False, 1012),
        pytest.param(
            True, 1011, marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="looks like any other")
        ),
    ],
)
async def test_a_client_comes_back_after_a_server_that_cancels_its_calls(own: bool, code: int) -> None:
    """As hypercorn does when it stops. What the endpoint itself has cancelled is a failure."""
    calls: list[asyncio.Task[None]] = []

    async def awaits(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    async def stopping(scope: Any, receive: Any, send: Any) -> None:
        calls.append(asyncio.ensure_future(Resumable(awaits)(scope, receive, send)))
        await asyncio.wait(calls)

    with LiveServer(stopping) as server:
        client = await Resuming(server, f"/{name('cancelled')}").open()
        if own:
            await client.send("now")
        else:
            calls[0].get_loop().call_soon_threadsafe(calls[0].cancel)
        with pytest.raises(Closed) as closed:
            await client.receive()
    assert closed.value.code == code


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of uvicorn's old implementation
@pytest.mark.parametrize("reason", ["", "the gateway restarts"])
@pytest.mark.parametrize("ws", ["websockets", "websockets-sansio", "wsproto"])
async def test_a_close_with_1012_is_a_goodbye_of_a_server_only(ws: str, reason: str) -> None:
    """Was: the close of a gateway that restarts ended the connections of clients that came back."""
    with LiveServer(Resumable(endpoint), ws=ws) as server:
        client = await Resuming(server, f"/{name('restart')}").open()
        await client.link.close(1012, reason)
        assert await client.back() == "all", client.why
        await client.send("again")
        assert await client.receive() == "again"
        assert left == []
    assert left == [1012], "the server does not wait for its client when it stops"
