"""The fixtures of the pytest plugin, under pytest-asyncio and under anyio."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from compat.exceptions import ChannelFull, InvalidChannelLayerError, LayerUnavailable
from compat.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from compat.layers import (
    InMemoryChannelLayer,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.settings import override
from compat.testing import WebsocketCommunicator
from compat.testing.captures import capture_group_sends
from compat.testing.layers import FaultyChannelLayer
from compat.testing.live import LiveServer, LiveServerError
from compat.types import Receive, Scope, Send
from tests.shim.running import run_code
from tests.support.environments import Environment

pytest_plugins = ["compat.testing.plugin"]


class Room(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("lobby", self.channel_name)
        await self.accept("chat")

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("lobby", {"type": "room.said", "content": content})

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


class Failing(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        raise LookupError(text_data)


APP = Room.as_asgi()


async def test_two_clients_and_what_was_sent(
    group_sends: list[Any], websocket: type[WebsocketCommunicator]
) -> None:
    async with websocket(APP, "/") as eva, websocket(APP, "/") as max_:
        assert eva.subprotocol == "chat"
        await eva.send_json_to({"text": "hello"})
        for client in (eva, max_):
            assert await client.receive_json_from() == {"text": "hello"}
    assert group_sends == [("lobby", {"type": "room.said", "content": {"text": "hello"}})]


async def test_an_error_of_the_consumer_is_the_tests(websocket: type[WebsocketCommunicator]) -> None:
    with pytest.raises(LookupError, match="boom"):
        async with websocket(Failing.as_asgi(), "/") as client:
            await client.send_to(text_data="boom")
    with pytest.raises(ZeroDivisionError):
        async with websocket(Failing.as_asgi(), "/") as client:
            raise ZeroDivisionError


async def test_a_refusal_says_so(websocket: type[WebsocketCommunicator]) -> None:
    class Refusing(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            await self.close(4001)

    with pytest.raises(AssertionError, match="refused with 4001"):
        async with websocket(Refusing.as_asgi(), "/"):
            pass


async def test_sends_are_captured_once_each_and_may_be_kept_back(channel_layer: InMemoryChannelLayer) -> None:
    await channel_layer.group_add("g", "mailbox")
    with capture_group_sends(deliver=False) as sent:
        await channel_layer.group_send("g", {"type": "x", "list": [1]})
    await channel_layer.group_send("g", {"type": "after"})
    assert sent == [("g", {"type": "x", "list": [1]})] and sent[0].group == "g"
    assert await channel_layer.receive("mailbox") == {"type": "after"}
    with capture_group_sends() as sent:
        assert (await channel_layer.group_send("g", {"type": "y"}, exclude=["mailbox"])).delivered == 0
    assert sent == [("g", {"type": "y"})]


def test_capturing_needs_a_layer() -> None:
    with pytest.raises(InvalidChannelLayerError, match="nobody"), capture_group_sends("nobody"):
        pass


async def test_a_layer_that_fails_and_recovers(faulty_channel_layer: FaultyChannelLayer) -> None:
    layer = faulty_channel_layer
    assert get_channel_layer() is layer
    layer.fail("group_send", times=2)
    for _ in range(2):
        with pytest.raises(LayerUnavailable):
            await layer.group_send("g", {"type": "x"})
    await layer.group_send("g", {"type": "x"})
    layer.fail("send", ChannelFull("c"))
    with pytest.raises(ChannelFull):
        await layer.send("c", {"type": "x"})
    layer.lose("send")
    await layer.send("c", {"type": "lost"})
    await layer.send("c", {"type": "kept"})
    assert await layer.receive("c") == {"type": "kept"}
    layer.fail("send", times=5)
    layer.heal()
    await layer.send("c", {"type": "x"})
    assert layer.calls["send"] == 4 and layer.calls["group_send"] == 3


async def test_a_layer_that_waits(faulty_channel_layer: FaultyChannelLayer) -> None:
    with faulty_channel_layer.held("send"):
        waiting = asyncio.ensure_future(faulty_channel_layer.send("c", {"type": "x"}))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 10)


async def test_a_layer_that_waits_for_two_blocks(faulty_channel_layer: FaultyChannelLayer) -> None:
    """Was: a KeyError at the end of the outer one, and a call that waited for ever."""
    with faulty_channel_layer.held("send"):
        first = asyncio.ensure_future(faulty_channel_layer.send("c", {"type": "x"}))
        await asyncio.sleep(0)
        with faulty_channel_layer.held("send"):
            second = asyncio.ensure_future(faulty_channel_layer.send("c", {"type": "x"}))
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not first.done() and not second.done()
    await asyncio.wait_for(asyncio.gather(first, second), 10)


async def test_a_call_waits_for_no_block_that_begins_later(faulty_channel_layer: FaultyChannelLayer) -> None:
    """Was: it waited for the end of the second block, and so for ever if the test awaited it there."""
    with faulty_channel_layer.held("send"):
        waiting = asyncio.ensure_future(faulty_channel_layer.send("c", {"type": "x"}))
        await asyncio.sleep(0)
    with faulty_channel_layer.held("send"):
        await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("method", ["nothing", "__init__"])
def test_faults_are_checked(method: str) -> None:
    layer = FaultyChannelLayer()
    with pytest.raises(ValueError, match="no method"):
        layer.fail(method)
    with pytest.raises(ValueError, match="for 'send' and 'group_send'"):
        layer.lose("receive")


async def test_a_consumer_on_a_layer_that_is_away(
    faulty_channel_layer: FaultyChannelLayer, websocket: type[WebsocketCommunicator]
) -> None:
    faulty_channel_layer.fail("group_add")
    with pytest.raises(LayerUnavailable):
        async with websocket(APP, "/"):
            pass
    async with websocket(APP, "/") as client:
        await client.send_json_to("works again")
        assert await client.receive_json_from() == "works again"


def test_a_layer_by_its_path() -> None:
    path = "compat.testing.layers.FaultyChannelLayer"
    with override(CHANNEL_LAYERS={"faulty": {"BACKEND": path, "CONFIG": {"capacity": 3}}}):
        layer = get_channel_layer("faulty")
    assert isinstance(layer, FaultyChannelLayer) and layer.capacity == 3


def test_the_layer_that_was_there_is_there_again(pytestconfig: pytest.Config) -> None:
    plugin: Any = pytestconfig.pluginmanager.get_plugin("compat.testing.plugin")
    before, mine = InMemoryChannelLayer(), InMemoryChannelLayer()
    register_channel_layer("default", before)
    try:
        fixture = plugin._in_place(mine)
        assert next(fixture) is mine and get_channel_layer() is mine
        assert next(fixture, None) is None and get_channel_layer() is before
    finally:
        unregister_channel_layer("default")


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_servers_on_free_ports(serve: Any) -> None:
    one, two = serve(pages, lifespan="off"), serve(pages, lifespan="off")
    assert one.port != two.port
    for server in (one, two):
        with urllib.request.urlopen(f"{server.url}/a", timeout=10) as response:
            assert response.read() == b"/a"
    assert one.ws_url == f"ws://127.0.0.1:{one.port}"


def test_a_server_that_does_not_start_says_why() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(LiveServerError, match="did not start"), LiveServer(broken, lifespan="on"):
        pass


def test_uvicorn_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(LiveServerError, match=r"channels-compat\[server\]"):
        LiveServer(pages)


ANYIO = """
import pytest
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

pytest_plugins = ["compat.testing.plugin"]
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("g", {"type": "x"})
        await self.send(text_data=text_data)

class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        if text_data == "raise":
            raise LookupError(text_data)
        self.send(text_data=text_data)

@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
async def test_echo(consumer, websocket, group_sends):
    async with websocket(consumer.as_asgi(), "/") as client:
        await client.send_to(text_data="hello")
        assert await client.receive_from() == "hello"
    assert len(group_sends) == (consumer is Echo)

async def test_error(websocket):
    with pytest.raises(LookupError):
        async with websocket(SyncEcho.as_asgi(), "/") as client:
            await client.send_to(text_data="raise")
            await client.receive_from()
"""


def test_under_anyio(bare: Environment, tmp_path: Path) -> None:
    (tmp_path / "test_with_anyio.py").write_text(ANYIO, encoding="utf-8")
    arguments = ["-q", "-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)]
    code = f"import sys, pytest; sys.exit(pytest.main({arguments!r}))"
    assert "3 passed" in run_code(bare, code, tmp_path)


MEMORY = "compat.layers.InMemoryChannelLayer"


def _configured(capacity: int) -> dict[str, Any]:
    return {"default": {"BACKEND": MEMORY, "CONFIG": {"capacity": capacity}}}


def _as_the_fixture_does() -> contextlib.AbstractContextManager[Any]:
    from compat.testing.plugin import _in_place  # which pytest loads, as it is named above

    return contextlib.contextmanager(_in_place)(InMemoryChannelLayer())


def test_after_the_fixture_the_configured_layer_is_back_and_follows_the_settings() -> None:
    with override(CHANNEL_LAYERS=_configured(1)):
        before = get_channel_layer()
        with _as_the_fixture_does() as layer:
            assert get_channel_layer() is layer
        assert get_channel_layer() is before
        with override(CHANNEL_LAYERS=_configured(7)):
            assert get_channel_layer().capacity == 7


def test_after_the_fixture_a_registered_layer_is_back_and_stays() -> None:
    mine = InMemoryChannelLayer()
    register_channel_layer("default", mine)
    try:
        with _as_the_fixture_does() as layer:
            assert get_channel_layer() is layer
        with override(CHANNEL_LAYERS=_configured(7)):
            assert get_channel_layer() is mine
    finally:
        unregister_channel_layer("default")


def test_after_the_fixture_no_layer_of_other_settings_is_back() -> None:
    with contextlib.ExitStack() as fixture, override(CHANNEL_LAYERS={}):
        with override(CHANNEL_LAYERS=_configured(1)):
            get_channel_layer()
            fixture.enter_context(_as_the_fixture_does())
        fixture.close()
        assert get_channel_layer() is None
