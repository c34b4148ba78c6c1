"""S2-01 to S2-24: consumers outside Django, on Starlette routes, as the core concepts page has them.

The page's own consumers run too: their text is taken from the acceptance material with one import rewritten.
"""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

from compat.auth import AuthMiddlewareStack
from compat.consumer import AsyncConsumer
from compat.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import (
    InMemoryChannelLayer,
    get_channel_layer,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.sessions import CookieMiddleware
from compat.settings import settings
from compat.testing import ApplicationCommunicator
from tests.support.clients import Client, Refused
from tests.support.logs import recorded
from tests.support.paths import REPO, acceptance_material
from tests.support.servers import LiveServer
from tests.support.waiting import until

MEMORY = {"BACKEND": "compat.layers.InMemoryChannelLayer"}
LAYERS = {"default": MEMORY, "chat": MEMORY}


@pytest.fixture(scope="module")
def concepts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page's consumers as a module, with its import path replaced by ours (the rewrite rule)."""
    source = acceptance_material() / "acceptance/apps/fast_channels_concepts/consumers.py"
    text = source.read_text(encoding="utf-8")
    assert text.count("fast_channels.consumer.websocket") == 2
    ported = text.replace("fast_channels.consumer.websocket", "compat.generic.websocket")
    file = tmp_path_factory.mktemp("concepts") / "concepts_consumers.py"
    file.write_text(ported, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("concepts_consumers", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Whole(AsyncWebsocketConsumer):
    """Does with each frame what it says, and remembers how it ended."""

    codes: list[int] = []

    async def connect(self) -> None:
        offered = self.scope["subprotocols"]
        await self.accept(subprotocol=offered[0] if offered else None, headers=[(b"x-own", b"header")])

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        if text_data == "close":
            await self.close()
        elif text_data and text_data.isdigit():
            await self.close(code=int(text_data))
        elif text_data == "nothing":
            with pytest.raises(ValueError, match="You must pass one of bytes_data or text_data"):
                await self.send()
            await self.send(text_data="refused")
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)
            await self.send(text_data=json.dumps([text_data is not None, bytes_data is not None, kwargs]))

    async def disconnect(self, any_name: int) -> None:
        self.codes.append(any_name)


class Looking(AsyncJsonWebsocketConsumer):
    """Sends what its scope says."""

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        await self.send_json(
            {
                "path": self.scope["path"],
                "path_params": dict(self.scope["path_params"]),
                "query": parse_qs(self.scope["query_string"].decode()),
                "headers": [[type(part).__name__ for part in pair] for pair in self.scope["headers"]],
                "cookies": self.scope.get("cookies"),
                "user": None if user is None else user.is_authenticated,
            }
        )


class Spoken(AsyncJsonWebsocketConsumer):
    """Speaks in capitals: its own encoding of JSON."""

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return json.dumps(content).upper()

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        return json.loads(text_data.lower())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"got": content})


class Grouped(AsyncWebsocketConsumer):
    """In two groups by its class attribute, on the layer `chat`."""

    channel_layer_alias = "chat"
    groups = ["s2.one", "s2.two"]

    async def connect(self) -> None:
        await self.accept()
        await self.channel_layer.group_add("s2.after", self.channel_name)
        await self.send(text_data="in")

    async def heard(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["from"])


class Sync(WebsocketConsumer):
    """Every kind of handler as a plain def; remembers how it ended, and the threads that it ran in."""

    channel_layer_alias = "chat"
    groups = ["s2.sync"]
    codes: list[int] = []
    threads: set[str] = set()

    def connect(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.accept()
        self.send(text_data="connected")

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.threads.add(threading.current_thread().name)
        self.send(text_data=text_data)

    def heard(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["from"])

    def disconnect(self, code: int) -> None:
        self.codes.append(code)


class SyncEcho(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=text_data)


@pytest.fixture(scope="module")
def server(concepts: Any) -> Iterator[LiveServer]:
    guarded = concepts.AuthenticatedConsumer.as_asgi()
    routes = [
        WebSocketRoute("/ws/echo/", concepts.EchoConsumer.as_asgi()),
        WebSocketRoute("/ws/room/{room_name}/", concepts.RoomChatConsumer.as_asgi()),
        WebSocketRoute("/ws/auth/{room}", guarded),
        WebSocketRoute("/ws/auth-stack/{room}", AuthMiddlewareStack(guarded)),
        WebSocketRoute("/ws/chat/", concepts.ChatConsumer.as_asgi()),
        WebSocketRoute("/ws/whole/", Whole.as_asgi()),
        WebSocketRoute("/ws/looking/{room_name}/", Looking.as_asgi()),
        WebSocketRoute("/ws/cookies/", CookieMiddleware(Looking.as_asgi())),
        WebSocketRoute("/ws/user/", AuthMiddlewareStack(Looking.as_asgi())),
        Mount("/mounted", routes=[WebSocketRoute("/ws/looking/{room_name}", Looking.as_asgi())]),
        WebSocketRoute("/ws/spoken/", Spoken.as_asgi()),
        WebSocketRoute("/ws/grouped/", Grouped.as_asgi()),
        WebSocketRoute("/ws/sync/", Sync.as_asgi()),
    ]
    with settings.override(CHANNEL_LAYERS=LAYERS, CHANNEL_ORIGIN_CHECK=False):
        with LiveServer(Starlette(routes=routes)) as server:
            yield server


def test_S2_01_three_consumer_classes() -> None:
    assert issubclass(AsyncWebsocketConsumer, AsyncConsumer)
    assert issubclass(AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer)


async def test_S2_02_async_consumer_dispatches_any_protocol_by_type() -> None:
    class Timer(AsyncConsumer):
        async def timer_tick(self, message: dict[str, Any]) -> None:
            await self.send({"type": "timer.tock", "number": message["number"]})

    communicator = ApplicationCommunicator(Timer.as_asgi(), {"type": "timer"})
    await communicator.send_input({"type": "timer.tick", "number": 7})
    assert await communicator.receive_output() == {"type": "timer.tock", "number": 7}
    communicator.stop()


def test_S2_03_the_import_by_the_rewrite_rule(
    concepts: Any, imported: Callable[[str], dict[str, Any]]
) -> None:
    for name, ours in (
        ("AsyncWebsocketConsumer", AsyncWebsocketConsumer),
        ("AsyncJsonWebsocketConsumer", AsyncJsonWebsocketConsumer),
    ):
        assert imported(f"from fast_channels.consumer.websocket import {name}")[name] is ours
    assert issubclass(concepts.EchoConsumer, AsyncWebsocketConsumer)
    assert issubclass(concepts.ChatConsumer, AsyncJsonWebsocketConsumer)


def test_S2_04_connect_accepts(server: LiveServer) -> None:
    Client(server, "/ws/echo/").close()


def test_S2_05_receive_is_called_with_the_one_that_came(server: LiveServer) -> None:
    with Client(server, "/ws/whole/") as client:
        client.send("text")
        assert [client.receive(), client.receive_json()] == ["text", [True, False, {}]]
        client.send(b"bytes")
        assert [client.receive(), client.receive_json()] == [b"bytes", [False, True, {}]]


@pytest.mark.parametrize("code", [1000, 1001, 4444])
def test_S2_06_disconnect_gets_the_close_code_whatever_its_name(server: LiveServer, code: int) -> None:
    Client(server, "/ws/whole/").close(code)
    until(lambda: Whole.codes[-1:] == [code], f"disconnect({code}) has run")


def test_S2_07_send_text(server: LiveServer) -> None:
    with Client(server, "/ws/echo/") as client:
        client.send("hello")
        assert client.receive() == "Echo: hello"


def test_S2_08_send_bytes_and_nothing(server: LiveServer) -> None:
    with Client(server, "/ws/whole/") as client:
        client.send(b"\x00\xff")
        assert client.receive() == b"\x00\xff"
        client.receive()
        client.send("nothing")
        assert client.receive() == "refused"


@pytest.mark.parametrize(("said", "code"), [("close", 1000), ("4040", 4040)])
def test_S2_09_close_with_and_without_a_code(server: LiveServer, said: str, code: int) -> None:
    client = Client(server, "/ws/whole/")
    client.send(said)
    assert client.wait_closed()[0] == code


def test_S2_10_accept_with_subprotocol_and_headers(server: LiveServer) -> None:
    with Client(server, "/ws/whole/", subprotocols=["chosen", "other"]) as client:
        assert client.subprotocol == "chosen"
        assert client.response_headers["x-own"] == "header"
    with Client(server, "/ws/whole/") as client:
        assert client.subprotocol is None


def test_S2_11_send_json_and_receive_json(server: LiveServer) -> None:
    with Client(server, "/ws/spoken/") as client:
        client.send('{"A": 1}')
        assert json.loads(client.receive()) == {"GOT": {"A": 1}}


def test_S2_12_encode_json_and_decode_json_are_overridden(server: LiveServer) -> None:
    with Client(server, "/ws/spoken/") as client:
        client.send('["LOUD"]')
        assert client.receive() == '{"GOT": ["LOUD"]}'


async def group_send(group: str, alias: str = "chat") -> None:
    layer: Any = get_channel_layer(alias)
    await layer.group_send(group, {"type": "heard", "from": group})


def in_loop(server: LiveServer, coroutine: Any) -> Any:
    """Run a coroutine on the server's own event loop, as another part of the application would."""
    import asyncio

    assert server.loop is not None
    return asyncio.run_coroutine_threadsafe(coroutine, server.loop).result(15)


def test_S2_13_groups_are_joined_and_left(server: LiveServer) -> None:
    with Client(server, "/ws/grouped/") as client:
        assert client.receive() == "in"
        for group in ("s2.one", "s2.two"):
            in_loop(server, group_send(group))
            assert client.receive() == group
    layer: Any = get_channel_layer("chat")
    until(lambda: not {"s2.one", "s2.two"} & set(layer.groups), "both groups are left")


def test_S2_14_layer_by_its_alias(server: LiveServer) -> None:
    with Client(server, "/ws/grouped/") as client:
        assert client.receive() == "in"
        in_loop(server, group_send("s2.one", alias="default"))
        in_loop(server, group_send("s2.two", alias="chat"))
        assert client.receive() == "s2.two"


def test_S2_15_path_params_of_the_route(server: LiveServer) -> None:
    with Client(server, "/ws/looking/lobby/") as client:
        assert client.receive_json()["path_params"] == {"room_name": "lobby"}
    Client(server, "/ws/room/lobby/?user_id=1").close()


def test_S2_16_query_string_is_bytes(server: LiveServer) -> None:
    with Client(server, "/ws/looking/123/?user_id=456&user_id=7") as client:
        assert client.receive_json()["query"] == {"user_id": ["456", "7"]}


def test_S2_17_trailing_slash_counts(server: LiveServer) -> None:
    with pytest.raises(Refused):
        Client(server, "/ws/room/lobby?user_id=1")
    Client(server, "/ws/room/lobby/?user_id=1").close()


def test_S2_18_accept_before_group_add(server: LiveServer) -> None:
    with Client(server, "/ws/grouped/") as client:
        assert client.receive() == "in"
        in_loop(server, group_send("s2.after"))
        assert client.receive() == "s2.after"


def test_S2_19_path_is_the_whole_path_under_a_mount(server: LiveServer) -> None:
    with Client(server, "/mounted/ws/looking/123") as client:
        seen = client.receive_json()
    assert seen["path"] == "/mounted/ws/looking/123"
    assert seen["path"].split("/")[-1] == "123"


def test_S2_20_headers_are_pairs_of_bytes(server: LiveServer) -> None:
    with Client(server, "/ws/looking/x/") as client:
        headers = client.receive_json()["headers"]
    assert headers and all(pair == ["bytes", "bytes"] for pair in headers)


def test_S2_21_cookies(server: LiveServer) -> None:
    with Client(server, "/ws/cookies/", headers={"Cookie": "a=1; b=two"}) as client:
        assert client.receive_json()["cookies"] == {"a": "1", "b": "two"}
    with Client(server, "/ws/cookies/") as client:
        assert client.receive_json()["cookies"] == {}


def test_S2_22_user_with_and_without_the_middleware(server: LiveServer) -> None:
    with Client(server, "/ws/user/") as client:
        assert client.receive_json()["user"] is False
    with Client(server, "/ws/looking/x/") as client:
        assert client.receive_json()["user"] is None


@pytest.mark.parametrize("path", ["/ws/auth/1", "/ws/auth-stack/1"])
def test_S2_23_close_before_accept_refuses_with_403(server: LiveServer, path: str) -> None:
    with recorded() as records:
        with pytest.raises(Refused) as refused:
            Client(server, path)
        assert refused.value.status == 403
    assert not records.messages()


def test_S2_24_sync_consumers_work_too(server: LiveServer) -> None:
    """Each handler: of the handshake, of a frame, of a group's message and of the end."""
    with Client(server, "/ws/sync/") as client:
        assert client.receive() == "connected"
        client.send("plain def")
        assert client.receive() == "plain def"
        in_loop(server, group_send("s2.sync"))
        assert client.receive() == "s2.sync"
    until(lambda: Sync.codes == [1000], "disconnect(1000) has run")
    assert Sync.threads and threading.main_thread().name not in Sync.threads
    assert "live-server" not in Sync.threads  # which is the loop's


def test_S2_24_the_docs_answer_why_async_only() -> None:
    page = (REPO / "docs" / "channel-layers.md").read_text(encoding="utf-8")
    answer = " ".join(page.partition('## "Why async only?"')[2].partition("\n## ")[0].split())
    for said in (
        "for speed",
        "both kinds work",
        "on a pool of threads",
        "side by side",
        "Choose `def` for handlers that call blocking code",
    ):
        assert said in answer


def test_S2_27_without_any_layer_a_consumer_works_for_its_own_client() -> None:
    routes = [WebSocketRoute("/", Whole.as_asgi()), WebSocketRoute("/sync", SyncEcho.as_asgi())]
    with settings.override(CHANNEL_LAYERS={}, CHANNEL_ORIGIN_CHECK=False), recorded() as records:
        with LiveServer(Starlette(routes=routes)) as server:
            for path in ("/", "/sync"):
                with Client(server, path) as client:
                    client.send("hello")
                    assert client.receive() == "hello"
    assert not records.messages()


class Mailbox(AsyncWebsocketConsumer):
    """Tells its channel's name, joins what it is told to join, and shows what it hears."""

    async def connect(self) -> None:
        await self.accept()
        await self.channel_layer.group_add("chat_room_1", self.channel_name)
        await self.send(text_data=self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        call = self.channel_layer.group_add if text_data == "join" else self.channel_layer.group_discard
        if text_data in ("join", "leave"):
            await call("notifications", self.channel_name)
            await self.send(text_data=text_data)
        else:
            event = {"type": "chat.message", "username": "user123", "message": text_data}
            await self.channel_layer.group_send("chat_room_1", event)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"method": "chat_message", "event": event}))

    async def user_notification(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"method": "user_notification", "event": event}))

    async def system_alert(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"method": "system_alert", "event": event}))

    async def notification_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"method": "notification_message", "event": event}))


@pytest.fixture(params=["memory", "redis"])
def mailboxes(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    """Consumers on a layer that was registered by hand."""
    layer: Any = InMemoryChannelLayer()
    if request.param == "redis":
        from compat.layers.redis.core import RedisChannelLayer

        layer = RedisChannelLayer(hosts=[request.getfixturevalue("redis_url")], prefix=f"s2x{id(request)}")
    with settings.override(CHANNEL_LAYERS={}, CHANNEL_ORIGIN_CHECK=False):
        register_channel_layer("default", layer)
        with LiveServer(Starlette(routes=[WebSocketRoute("/", Mailbox.as_asgi())])) as server:
            yield server
        unregister_channel_layer("default")


async def to_channel(channel: str, event: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()
    await layer.send(channel, event)


async def to_group(group: str, event: dict[str, Any]) -> None:
    layer: Any = get_channel_layer()
    await layer.group_send(group, event)


def test_S2_26_S2_28_send_reaches_that_one_connection(mailboxes: LiveServer) -> None:
    with Client(mailboxes, "/") as first, Client(mailboxes, "/") as second:
        names = [str(client.receive()) for client in (first, second)]
        for name, client in zip(names, (first, second), strict=True):
            event = {"type": "notification.message", "content": f"for {name}"}
            in_loop(mailboxes, to_channel(name, event))
            assert client.receive_json() == {"method": "notification_message", "event": event}


def test_S2_29_group_send_reaches_all_members(mailboxes: LiveServer) -> None:
    with Client(mailboxes, "/") as first, Client(mailboxes, "/") as second:
        for client in (first, second):
            client.receive()
        event = {"type": "chat.message", "username": "Alice", "message": "Hello everyone!"}
        in_loop(mailboxes, to_group("chat_room_1", event))
        for client in (first, second):
            assert client.receive_json() == {"method": "chat_message", "event": event}


def test_S2_30_group_add_and_discard(mailboxes: LiveServer) -> None:
    with Client(mailboxes, "/") as client:
        name = str(client.receive())
        for said in ("join", "leave", "join"):
            client.send(said)
            assert client.receive() == said
            in_loop(mailboxes, to_group("notifications", {"type": "system.alert", "said": said}))
            in_loop(mailboxes, to_channel(name, {"type": "user.notification", "said": said}))
            heard = [client.receive_json()["method"] for _ in range(2 if said == "join" else 1)]
            assert heard == (["system_alert"] if said == "join" else []) + ["user_notification"]


@pytest.mark.parametrize("kind", ["chat.message", "user.notification", "system.alert"])
def test_S2_31_S2_32_type_names_the_method_that_gets_the_whole_event(
    mailboxes: LiveServer, kind: str
) -> None:
    event = {"type": kind, "a": 1, "nested": {"b": [None, True, "ü"]}, "type_of": "x"}
    with Client(mailboxes, "/") as client:
        in_loop(mailboxes, to_channel(str(client.receive()), event))
        assert client.receive_json() == {"method": kind.replace(".", "_"), "event": event}


def test_S2_33_group_send_from_receive_reaches_the_sender(mailboxes: LiveServer) -> None:
    with Client(mailboxes, "/") as client:
        client.receive()
        client.send("to all, me too")
        event = {"type": "chat.message", "username": "user123", "message": "to all, me too"}
        assert client.receive_json() == {"method": "chat_message", "event": event}


def test_S2_34_send_json_on_a_plain_consumer_names_the_json_class() -> None:
    class Slip(AsyncWebsocketConsumer):
        async def receive(
            self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
        ) -> None:
            await self.send_json({"message": text_data})  # type: ignore[attr-defined]  # the slip

    with recorded() as records, LiveServer(Starlette(routes=[WebSocketRoute("/", Slip.as_asgi())])) as server:
        client = Client(server, "/")
        client.send("hello")
        assert client.wait_closed()[0] == 1011
    assert len(records.kept) == 1
    assert "AsyncJsonWebsocketConsumer" in records.messages()[0], records.messages()


def test_S2_34_the_page_s_own_chat_consumer(server: LiveServer) -> None:
    with Client(server, "/ws/chat/") as first, Client(server, "/ws/chat/") as second:
        first.send("hello")
        for client in (first, second):
            assert client.receive_json() == {"message": "hello", "username": "user123"}
