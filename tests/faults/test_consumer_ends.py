"""However a connection ends: a clean answer for its client, one log record, one disconnect(), no group kept.

Each test runs its consumers behind uvicorn, with a neighbour beside the one that fails: the neighbour must go
on. Log records are counted over everything in the process, uvicorn and asyncio included, when the server has
stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from websockets.asyncio.client import connect

from compat.exceptions import AcceptConnection, DenyConnection, StopConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import get_channel_layer
from compat.patterns import path, re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator
from compat.settings import settings
from tests.support.clients import Client, Refused
from tests.support.layers import unique_prefix
from tests.support.logs import Records, recorded
from tests.support.servers import Address, LiveServer
from tests.support.waiting import until

GROUP = "faults.everybody"
REASONS = {"accept": AcceptConnection, "deny": DenyConnection, "stop": StopConsumer, "error": RuntimeError}


class Seen:
    """What happened inside the consumers of one test."""

    def __init__(self) -> None:
        self.connects: list[str] = []
        self.disconnects: list[tuple[str, int]] = []
        self.meeting = threading.Barrier(2, timeout=30)

    def codes(self, who: str) -> list[int]:
        """The codes that disconnect() of the connection `who` was called with."""
        return [code for name, code in self.disconnects if name == who]


def name_of(scope: Any) -> str:
    return str(scope["query_string"].decode())


class SyncMember(WebsocketConsumer):
    """Joins the group, then fails where its path says: /fails/<where>/."""

    seen: Seen

    def connect(self) -> None:
        self.where = self.scope["url_route"]["kwargs"].get("where", "")
        self.seen.connects.append(name_of(self.scope))
        async_to_sync(self.channel_layer.group_add)(GROUP, self.channel_name)
        if self.where == "connect":
            raise RuntimeError("failed in connect")
        if self.where == "refusal":
            self.close(code=4001)
        elif self.where in REASONS:
            raise REASONS[self.where]
        else:
            self.accept()

    def receive(self, text_data: str) -> None:
        if self.where == "receive":
            raise RuntimeError("failed in receive")
        if self.where == "receive-stop":
            raise StopConsumer
        if self.where == "handler":
            event = {"type": "fail.now", "to": self.channel_name}
            async_to_sync(self.channel_layer.group_send)(GROUP, event)
        elif self.where == "close":
            self.close(code=4002)
        elif self.where == "meeting":
            self.seen.meeting.wait()
            self.send(text_data="met")
        else:
            async_to_sync(self.channel_layer.group_send)(GROUP, {"type": "said", "text": text_data})

    def said(self, event: dict[str, str]) -> None:
        self.send(text_data=event["text"])

    def fail_now(self, event: dict[str, str]) -> None:
        if event["to"] == self.channel_name:
            raise RuntimeError("failed in handler")

    def disconnect(self, code: int) -> None:
        self.seen.disconnects.append((name_of(self.scope), code))
        if self.where == "disconnect":
            raise RuntimeError("failed in disconnect")


class AsyncMember(AsyncWebsocketConsumer):
    """SyncMember with await."""

    seen: Seen

    async def connect(self) -> None:
        self.where = self.scope["url_route"]["kwargs"].get("where", "")
        self.seen.connects.append(name_of(self.scope))
        await self.channel_layer.group_add(GROUP, self.channel_name)
        if self.where == "connect":
            raise RuntimeError("failed in connect")
        if self.where == "refusal":
            await self.close(code=4001)
        elif self.where in REASONS:
            raise REASONS[self.where]
        else:
            await self.accept()

    async def receive(self, text_data: str) -> None:
        if self.where == "receive":
            raise RuntimeError("failed in receive")
        if self.where == "receive-stop":
            raise StopConsumer
        if self.where == "handler":
            await self.channel_layer.group_send(GROUP, {"type": "fail.now", "to": self.channel_name})
        elif self.where == "close":
            await self.close(code=4002)
        else:
            await self.channel_layer.group_send(GROUP, {"type": "said", "text": text_data})

    async def said(self, event: dict[str, str]) -> None:
        await self.send(text_data=event["text"])

    async def fail_now(self, event: dict[str, str]) -> None:
        if event["to"] == self.channel_name:
            raise RuntimeError("failed in handler")

    async def disconnect(self, code: int) -> None:
        self.seen.disconnects.append((name_of(self.scope), code))
        if self.where == "disconnect":
            raise RuntimeError("failed in disconnect")


class SyncRoom(SyncMember):
    """Names its group by the room, as the tutorial does."""

    def connect(self) -> None:
        room = self.scope["url_route"]["kwargs"]["room"]
        async_to_sync(self.channel_layer.group_add)(f"chat_{room}", self.channel_name)
        super().connect()


class AsyncRoom(AsyncMember):
    """Names its group by the room, as the tutorial does."""

    async def connect(self) -> None:
        room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(f"chat_{room}", self.channel_name)
        await super().connect()


CLASSES: dict[str, tuple[type[Any], type[Any]]] = {
    "sync": (SyncMember, SyncRoom),
    "async": (AsyncMember, AsyncRoom),
}


def subclass(base: type[Any], **attributes: Any) -> type[Any]:
    """A consumer class of this test's own, under the name of its base."""
    return type(base.__name__, (base,), attributes)


class Stage:
    """A running server, what its consumers saw, and what was logged.

    `stop()` ends the server: only then is "exactly once" worth asserting.
    """

    def __init__(
        self, server: LiveServer, seen: Seen, records: Records, members: Callable[[], set[str]]
    ) -> None:
        self.server = server
        self.seen = seen
        self.records = records
        self.members = members
        self.stop: Callable[[], None] = lambda: None

    def join(self, where: str, who: str, **options: Any) -> Client:
        return Client(self.server, f"/fails/{where}/?{who}" if where else f"/member/?{who}", **options)

    def one_record(self, *words: str) -> logging.LogRecord:
        """The only record of the whole run at WARNING or above, which says all these words."""
        assert len(self.records.kept) == 1, self.records.messages()
        record = self.records.kept[0]
        missing = [word for word in words if word not in record.getMessage()]
        assert not missing, (missing, record.getMessage())
        return record


@pytest.fixture(params=["memory", "redis"])
def layers(request: pytest.FixtureRequest) -> dict[str, Any]:
    """CHANNEL_LAYERS with the in-memory layer, and with the queue layer on the shared Redis."""
    if request.param == "memory":
        return {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}
    url = request.getfixturevalue("redis_url")
    config = {"hosts": [url], "prefix": unique_prefix()}
    return {"default": {"BACKEND": "compat.layers.redis.core.RedisChannelLayer", "CONFIG": config}}


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(flavour: str, layers: dict[str, Any]) -> Iterator[Stage]:
    seen = Seen()
    member, room = (subclass(cls, seen=seen) for cls in CLASSES[flavour])
    routes = [
        path("member/", member.as_asgi()),
        path("fails/<str:where>/", member.as_asgi()),
        re_path(r"room/(?P<room>\w+)/$", room.as_asgi()),
        path("guarded/", OriginValidator(member.as_asgi(), ["http://good.example"])),
    ]
    with settings.override(CHANNEL_LAYERS=layers, CHANNEL_ORIGIN_CHECK=False), recorded() as records:
        server = LiveServer(ProtocolTypeRouter({"websocket": URLRouter(routes)}))
        with server:
            stage = Stage(server, seen, records, lambda: members_of(GROUP, layers))
            stopped = threading.Event()

            def stop() -> None:
                if not stopped.is_set():
                    stopped.set()
                    server.__exit__()

            stage.stop = stop
            try:
                yield stage
            finally:
                stop()


def members_of(group: str, layers: dict[str, Any]) -> set[str]:
    """The channels that the layer holds for the group, looked up where it keeps them."""
    config = layers["default"].get("CONFIG")
    if config is None:
        layer: Any = get_channel_layer()
        return set(layer.groups.get(group, ()))
    with redis.Redis.from_url(config["hosts"][0]) as client:
        return {str(member) for member in client.zrange(f"{config['prefix']}:group:{group}", 0, -1)}


def neighbour_goes_on(neighbour: Client) -> None:
    neighbour.send("still here")
    assert neighbour.receive() == "still here"


def test_raising_in_connect_refuses_the_handshake(stage: Stage) -> None:
    with stage.join("", "neighbour") as neighbour:
        with pytest.raises(Refused) as refused:
            stage.join("connect", "failing")
        assert refused.value.status == 403
        until(lambda: len(stage.members()) == 1, "the failed one has left the group")
        neighbour_goes_on(neighbour)
    stage.stop()
    assert stage.seen.codes("failing") == [1011]
    record = stage.one_record("Member", "/fails/connect/", "RuntimeError", "failed in connect")
    assert record.levelno == logging.ERROR and record.exc_info


@pytest.mark.parametrize("where", ["receive", "handler"])
def test_raising_in_a_handler_closes_with_1011(stage: Stage, where: str) -> None:
    with stage.join("", "neighbour") as neighbour:
        failing = stage.join(where, "failing")
        failing.send("go")
        assert failing.wait_closed()[0] == 1011
        until(lambda: len(stage.members()) == 1, "the failed one has left the group")
        neighbour_goes_on(neighbour)
    stage.stop()
    assert stage.seen.codes("failing") == [1011]
    record = stage.one_record("Member", f"/fails/{where}/", "RuntimeError", f"failed in {where}")
    assert record.levelno == logging.ERROR and record.exc_info


def test_raising_in_disconnect_is_reported_once_and_leaves_the_group(stage: Stage) -> None:
    with stage.join("", "neighbour") as neighbour:
        stage.join("disconnect", "failing").close(4003)
        until(lambda: len(stage.members()) == 1, "the failed one has left the group")
        neighbour_goes_on(neighbour)
    stage.stop()
    assert stage.seen.codes("failing") == [4003]
    record = stage.one_record("Member", "/fails/disconnect/", "RuntimeError", "failed in disconnect")
    assert record.levelno == logging.ERROR and record.exc_info


def test_raising_in_receive_and_then_in_disconnect_is_one_record(stage: Stage) -> None:
    seen = stage.seen

    class Twice(CLASSES["sync"][0]):  # type: ignore[misc]
        def receive(self, text_data: str) -> None:
            self.where = "disconnect"
            raise ValueError("the first")

    Twice.seen = seen
    with LiveServer(URLRouter([path("twice/", Twice.as_asgi())])) as server:
        client = Client(server, "/twice/?twice")
        client.send("go")
        assert client.wait_closed()[0] == 1011
    stage.stop()
    assert seen.codes("twice") == [1011]
    # The record of the first is written before the end begins; that of the second has level INFO.
    assert stage.one_record("Twice", "ValueError: the first").exc_info


@pytest.mark.parametrize("frame", [b"\x00\xff", b""])
def test_binary_frame_to_a_receive_that_takes_text(stage: Stage, frame: bytes) -> None:
    with stage.join("", "neighbour") as neighbour:
        client = stage.join("", "binary")
        client.send(frame)
        assert client.wait_closed()[0] == 1011
        neighbour_goes_on(neighbour)
    stage.stop()
    assert stage.seen.codes("binary") == [1011]
    stage.one_record("Member", "/member/", "bytes_data")


def test_bad_json_in_receive(stage: Stage) -> None:
    class Parsing(CLASSES["async"][0]):  # type: ignore[misc]
        async def receive(self, text_data: str) -> None:
            json.loads(text_data)

    Parsing.seen = stage.seen
    with LiveServer(URLRouter([path("json/", Parsing.as_asgi())])) as server:
        client = Client(server, "/json/?parsing")
        client.send("{not json")
        assert client.wait_closed()[0] == 1011
    stage.stop()
    assert stage.seen.codes("parsing") == [1011]
    stage.one_record("Parsing", "/json/", "JSONDecodeError")


@pytest.mark.parametrize("room", ["caf%C3%A9", "x" * 200], ids=["café", "200 letters"])
def test_room_name_that_makes_a_bad_group_name(stage: Stage, room: str) -> None:
    with stage.join("", "neighbour") as neighbour:
        with pytest.raises(Refused) as refused:
            Client(stage.server, f"/room/{room}/?bad")
        assert refused.value.status == 403
        neighbour_goes_on(neighbour)
    stage.stop()
    assert stage.seen.codes("bad") == [1011]
    record = stage.one_record("Room", "/room/", "TypeError", "Group name", "length < 100")
    assert ("café" if "caf" in room else "x" * 50) in record.getMessage()


def test_unknown_path_is_one_line(stage: Stage) -> None:
    with stage.join("", "neighbour") as neighbour:
        with pytest.raises(Refused) as refused:
            Client(stage.server, "/nobody/is/here/")
        assert refused.value.status in (403, 404)
        neighbour_goes_on(neighbour)
    stage.stop()
    record = stage.one_record("nobody/is/here/")
    assert record.levelno == logging.WARNING and not record.exc_info


@pytest.mark.parametrize("origin", ["http://evil.example", None], ids=["foreign", "none"])
def test_refused_origin_is_one_line(stage: Stage, origin: str | None) -> None:
    with stage.join("", "neighbour") as neighbour:
        with pytest.raises(Refused) as refused:
            Client(stage.server, "/guarded/?guarded", origin=origin)
        assert refused.value.status == 403
        neighbour_goes_on(neighbour)
    Client(stage.server, "/guarded/?good", origin="http://good.example").close()
    stage.stop()
    assert stage.seen.codes("guarded") == []
    record = stage.one_record("/guarded/", origin or "no Origin")
    assert record.levelno == logging.WARNING and not record.exc_info


@pytest.mark.parametrize(
    ("where", "code"), [("refusal", 1006), ("deny", 1006), ("stop", 1000)], ids=["close()", "deny", "stop"]
)
def test_refusing_without_an_error_is_silent(stage: Stage, where: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        stage.join(where, "refused")
    assert refused.value.status == 403
    until(lambda: stage.seen.codes("refused"), "disconnect() has run")
    until(lambda: not stage.members(), "the refused one has left the group")
    stage.stop()
    assert stage.seen.codes("refused") == [code]
    assert not stage.records.messages()


def end_by_close(stage: Stage, client: Client) -> None:
    client.close(4004)


def end_by_cut(stage: Stage, client: Client) -> None:
    client.drop()


def end_by_server_stop(stage: Stage, client: Client) -> None:
    stage.stop()


@pytest.mark.parametrize("end", [end_by_close, end_by_cut, end_by_server_stop])
def test_disconnect_runs_once_and_groups_are_left(stage: Stage, end: Callable[[Stage, Client], None]) -> None:
    client = stage.join("", "leaving")
    client.send("joined")
    assert client.receive() == "joined"
    end(stage, client)
    until(lambda: stage.seen.codes("leaving"), "disconnect() has run")
    until(lambda: not stage.members(), "the group is empty")
    stage.stop()
    client.drop()
    assert len(stage.seen.codes("leaving")) == 1
    assert not stage.records.messages()


@pytest.mark.parametrize(("where", "code"), [("close", 4002), ("receive-stop", 1000)])
def test_ended_by_the_consumer(stage: Stage, where: str, code: int) -> None:
    client = stage.join(where, "ending")
    client.send("go")
    assert client.wait_closed()[0] == code
    until(lambda: not stage.members(), "the group is empty")
    stage.stop()
    assert stage.seen.codes("ending") == [code]
    assert not stage.records.messages()


def test_two_blocking_handlers_overlap() -> None:
    """Each of two sync handlers waits for the other one: on one thread neither would ever return."""
    seen = Seen()
    member = subclass(SyncMember, seen=seen)
    layers = {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}
    with settings.override(CHANNEL_LAYERS=layers, CHANNEL_ORIGIN_CHECK=False):
        with LiveServer(URLRouter([path("fails/<str:where>/", member.as_asgi())])) as server:
            with Client(server, "/fails/meeting/?a") as a, Client(server, "/fails/meeting/?b") as b:
                a.send("")
                b.send("")
                assert a.receive() == b.receive() == "met"


@pytest.mark.parametrize("threads", [4, 24])
def test_many_sync_connections_join_at_once_on_a_small_pool(layers: dict[str, Any], threads: int) -> None:
    """200 handshakes wait in async_to_sync(group_add) at the same time; all open, and all hear a message."""
    member = subclass(SyncMember, seen=Seen())
    app = URLRouter([path("member/", member.as_asgi())])
    if "CONFIG" in layers["default"]:
        layers["default"]["CONFIG"]["capacity"] = 1000  # the wire shares one queue per process
    with settings.override(CHANNEL_LAYERS=layers, CHANNEL_THREADS=threads), LiveServer(app) as server:
        asyncio.run(open_and_hear(server, 200))


async def open_and_hear(server: Address, count: int) -> None:
    """Open `count` sockets side by side; one says hello, and all must hear it."""
    async with contextlib.AsyncExitStack() as stack:
        opening = (connect(server.ws(f"/member/?{n}"), proxy=None, open_timeout=60) for n in range(count))
        sockets = await asyncio.gather(*(stack.enter_async_context(socket) for socket in opening))
        await sockets[0].send("hello")
        heard = asyncio.gather(*(socket.recv() for socket in sockets))
        assert await asyncio.wait_for(heard, 60) == ["hello"] * count


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
def test_groups_of_a_class_are_never_shared(base: type[Any]) -> None:
    shared = ["one"]
    consumer = subclass(base, groups=shared)
    first, second = consumer(), consumer()
    first.groups.append("only the first")
    assert second.groups == ["one"] == consumer().groups
    assert shared == ["one"] and consumer.__dict__["groups"] is shared


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
def test_layer_alias_that_is_not_configured(base: type[Any]) -> None:
    """The client is refused, and the one record names the alias and those that there are."""
    consumer = subclass(base, channel_layer_alias="elsewhere")
    layers = {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}, "chat": {"BACKEND": "x.Y"}}
    with settings.override(CHANNEL_LAYERS=layers, CHANNEL_ORIGIN_CHECK=False), recorded() as records:
        with LiveServer(URLRouter([path("lost/", consumer.as_asgi())])) as server:
            with pytest.raises(Refused) as refused:
                Client(server, "/lost/")
            assert refused.value.status == 403
    messages = records.messages()
    assert len(messages) == 1, messages
    words = (base.__name__, "'/lost/'", "'elsewhere'", "chat", "default")
    assert all(word in messages[0] for word in words), messages
