"""S0-37 to S0-69: the room, with several clients, on real Redis and in memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import yaml  # type: ignore[import-untyped]  # it comes with mkdocs
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount, Router, WebSocketRoute

from compat.exceptions import StopConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.typed import AsyncJsonWebsocketConsumer, PingMessage, PongMessage, ws_handler
from tests.examples.conftest import EXAMPLES, FASTAPI
from tests.examples.test_showcase_browser import Page
from tests.support.browser import Browser
from tests.support.clients import Client, get
from tests.support.processes import Process, free_port
from tests.support.seed_app import SeedApp
from tests.support.servers import Address, LiveServer, Server
from tests.support.waiting import until, until_async
from tests.unit.typed.room import Note, Talk

Src = Callable[[str], Any]
Names = Callable[[], str]

PING, PONG = {"action": "ping"}, {"action": "pong", "payload": None}


def enter(server: Address, room: str) -> Client:
    """Somebody who is in: what comes before the first answer is nothing."""
    client = Client(server, f"/ws/room/{room}")
    hears_nothing(client)
    return client


def note(text: str, room: str) -> dict[str, Any]:
    return {"action": "room_notification", "payload": {"message": text, "room_name": room}}


def joined(room: str) -> dict[str, Any]:
    return note(f"🚪 Someone joined room '{room}'", room)


def left(room: str) -> dict[str, Any]:
    return note(f"👋 Someone left room '{room}'", room)


def chat(text: str, room: str) -> dict[str, Any]:
    return note(f"💬 {text}", room)


def say(client: Client, text: str) -> None:
    client.send_json({"action": "room_chat", "payload": {"message": text}})


def hears_nothing(client: Client) -> None:
    """Nothing has come before the answer to a ping that is sent now."""
    client.send_json(PING)
    assert client.receive_json() == PONG


# Broadcasts


def test_S0_37_S0_38_S0_52_a_message_reaches_all_with_its_sender(
    typed_server: Server, free_name: Names
) -> None:
    room = free_name()
    with enter(typed_server, room) as one, enter(typed_server, room) as two:
        assert one.receive_json() == joined(room)
        say(one, "hello")
        assert one.receive_json() == two.receive_json() == chat("hello", room)


def test_S0_39_S0_53_S0_62_S0_63_S0_64_who_comes_is_told_to_the_others(
    typed_server: Server, free_name: Names
) -> None:
    room = free_name()
    with enter(typed_server, room) as one:
        hears_nothing(one)
        with enter(typed_server, room) as two:
            assert one.receive_json() == joined(room)
            hears_nothing(two)
            with enter(typed_server, room) as three:
                assert one.receive_json() == two.receive_json() == joined(room)
                hears_nothing(three)
                hears_nothing(one)


def test_S0_54_S0_67_who_leaves_is_told_once_to_the_others(typed_server: Server, free_name: Names) -> None:
    room, other = free_name(), free_name()
    with enter(typed_server, room) as one, enter(typed_server, other) as elsewhere:
        with enter(typed_server, room) as two:
            assert one.receive_json() == joined(room)
            hears_nothing(two)
        assert one.receive_json() == left(room)
        hears_nothing(one)
        hears_nothing(elsewhere)


def test_S0_69_a_connection_that_drops_leaves_as_one_that_closes(
    typed_server: Server, free_name: Names
) -> None:
    room = free_name()
    with enter(typed_server, room) as one:
        two = enter(typed_server, room)
        assert one.receive_json() == joined(room)
        two.drop()
        assert one.receive_json() == left(room)
        hears_nothing(one)


def test_S0_65_S0_66_rooms_are_apart(typed_server: Server, free_name: Names) -> None:
    general, private = free_name(), free_name()
    inside = [enter(typed_server, general) for _ in range(3)]
    outside = enter(typed_server, private)
    for number, client in enumerate(inside):
        for _ in range(2 - number):
            assert client.receive_json() == joined(general)
    say(inside[1], "for general")
    for client in inside:
        assert client.receive_json() == chat("for general", general)
        hears_nothing(client)
    hears_nothing(outside)
    say(outside, "for private")
    assert outside.receive_json() == chat("for private", private)
    for client in (*inside, outside):
        hears_nothing(client)
    for client in (*inside, outside):
        client.close()


def test_S0_68_order(typed_server: Server, free_name: Names) -> None:
    room = free_name()
    with enter(typed_server, room) as one:
        for number in range(5):
            with enter(typed_server, room) as two:
                say(two, str(number))
                assert two.receive_json() == chat(str(number), room)
            assert [one.receive_json() for _ in range(3)] == [
                joined(room),
                chat(str(number), room),
                left(room),
            ]


@pytest.fixture(params=["memory", "pubsub", "queue"])
def layer(request: pytest.FixtureRequest, redis_url: str, src: Src) -> Any:
    """Each kind of layer under "chat"; `src` takes it away."""
    if request.param == "memory":
        layer: Any = InMemoryChannelLayer()
    elif request.param == "pubsub":
        layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix="s0-pubsub")
    else:
        layer = RedisChannelLayer(hosts=[redis_url], prefix="s0-queue")
    register_channel_layer("chat", layer)
    return layer


async def ended(layer: Any) -> None:
    """Close what the layer holds on this event loop."""
    await (layer.close_pools() if hasattr(layer, "close_pools") else layer.close())


async def room_of(consumer: Any, room: str) -> Talk:
    client = Talk(consumer.as_asgi(), f"/room/{room}")
    client.scope["path_params"] = {"room_name": room}
    await client.open()
    await client.hears_nothing()
    return client


async def test_S0_55_texts_of_any_kind_arrive_unharmed_over_every_layer(
    layer: Any, src: Src, free_name: Names
) -> None:
    consumer, room = src("apps.room_chat.consumer").RoomChatConsumer, free_name()
    one, two = await room_of(consumer, room), await room_of(consumer, room)
    assert await one.hear() == joined(room)
    for text in ("💬🚪👋", "héllo wörld", "日本語", 'quotes " and \\ and \u2028', "x" * 10_000):
        await one.say({"action": "room_chat", "payload": {"message": text}})
        assert await one.hear() == await two.hear() == chat(text, room)
    await one.leave()
    assert await two.hear() == left(room)
    await two.leave()
    await ended(layer)


# The course of a connection


class Watched(AsyncJsonWebsocketConsumer):
    """Joins the group of its room twice, by hand and by its list, and leaves it nowhere."""

    channel_layer_alias = "chat"
    groups = ["everybody"]
    seen: list[Any] = []

    async def post_authentication(self) -> None:
        self.seen.append(self)
        group = f"room_{self.scope['path_params']['room_name']}"
        await self.channel_layer.group_add(group, self.channel_name)
        self.groups.append(group)
        await self.channel_layer.group_add(group, self.channel_name)

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        self.seen.append("ping")
        return PongMessage()

    @ws_handler
    async def note(self, message: Note) -> None:
        await self.broadcast_message(message, groups=[message.payload])


@dataclass
class Joined:
    """Two connections in rooms of their own, each client with its consumer."""

    room: str
    other: str
    client: Talk
    elsewhere: Talk
    consumer: Watched
    other_consumer: Watched


@pytest.fixture
async def two_rooms(layer: Any, free_name: Names) -> AsyncIterator[Joined]:
    Watched.seen.clear()
    room, other = free_name(), free_name()
    one, two = await room_of(Watched, room), await room_of(Watched, other)
    first, second = [one for one in Watched.seen if one != "ping"]
    yield Joined(room, other, one, two, first, second)
    for client in (one, two):
        if not client.future.done():
            await client.leave()
    await ended(layer)


async def test_S0_40_post_authentication_runs_once_before_the_first_frame(
    layer: Any, free_name: Names
) -> None:
    Watched.seen.clear()
    client = Talk(Watched.as_asgi())
    client.scope["path_params"] = {"room_name": free_name()}
    await client.send_input({"type": "websocket.connect"})
    await client.say(PING)
    assert (await client.receive_output(5))["type"] == "websocket.accept"
    assert await client.hear() == PONG
    assert [type(one) for one in Watched.seen] == [Watched, str]
    await client.hears_nothing()
    assert [type(one) for one in Watched.seen] == [Watched, str, str]
    await client.leave()
    await ended(layer)


async def test_S0_41_path_params_has_the_value_of_the_url(two_rooms: Joined) -> None:
    assert two_rooms.consumer.scope["path_params"] == {"room_name": two_rooms.room}
    assert two_rooms.other_consumer.scope["path_params"] == {"room_name": two_rooms.other}


async def test_S0_42_group_add_joins(layer: Any, two_rooms: Joined) -> None:
    await two_rooms.consumer.channel_layer.group_add("by.hand", two_rooms.consumer.channel_name)
    await two_rooms.elsewhere.say({"action": "note", "payload": "by.hand"})
    assert (await two_rooms.client.hear())["payload"] == "by.hand"
    await two_rooms.elsewhere.hears_nothing()


async def test_S0_43_channel_names_are_unique(two_rooms: Joined) -> None:
    names = [two_rooms.consumer.channel_name, two_rooms.other_consumer.channel_name]
    assert all(isinstance(name, str) and name for name in names) and len(set(names)) == 2


async def test_S0_44_a_group_of_the_list_is_left_on_disconnect(
    layer: Any, two_rooms: Joined, redis_url: str
) -> None:
    group = f"room_{two_rooms.room}"
    assert isinstance(two_rooms.consumer.groups, list) and group in two_rooms.consumer.groups
    assert has_members(layer, group, redis_url)
    await two_rooms.client.leave()
    await until_async(lambda: not has_members(layer, group, redis_url), "the group has been left")
    assert has_members(layer, f"room_{two_rooms.other}", redis_url)


async def test_S0_45_the_list_is_the_connections_own(two_rooms: Joined) -> None:
    assert two_rooms.consumer.groups == ["everybody", f"room_{two_rooms.room}"]
    assert two_rooms.other_consumer.groups == ["everybody", f"room_{two_rooms.other}"]
    assert Watched.groups == ["everybody"] == Watched().groups


async def test_S0_46_who_joins_twice_hears_once(two_rooms: Joined) -> None:
    await two_rooms.client.say({"action": "note", "payload": f"room_{two_rooms.room}"})
    assert (await two_rooms.client.hear())["payload"] == f"room_{two_rooms.room}"
    await two_rooms.client.hears_nothing()
    await two_rooms.elsewhere.hears_nothing()


def has_members(layer: Any, group: str, redis_url: str) -> bool:
    """Whether anybody is in the group, as the layer keeps that."""
    if isinstance(layer, InMemoryChannelLayer):
        return bool(layer.groups.get(group))
    server = redis.from_url(redis_url)
    pattern = f"*{layer.prefix}*{group}*"
    try:
        keys = [*server.scan_iter(pattern), *server.pubsub_channels(pattern)]
    finally:
        server.close()
    return bool(keys)


async def test_S0_47_super_at_the_end_of_websocket_disconnect_cleans_up(
    layer: Any, src: Src, free_name: Names, caplog: Any, redis_url: str
) -> None:
    consumer, room = src("apps.room_chat.consumer").RoomChatConsumer, free_name()
    group = f"room_{room}"
    cleaned: list[int] = []

    class Keeping(consumer):  # type: ignore[misc, valid-type]  # a class of the seeds
        """Leaves the room to the clean-up of super()."""

        async def websocket_disconnect(self, message: Any) -> None:
            assert has_members(layer, group, redis_url)
            with pytest.raises(StopConsumer):
                await AsyncJsonWebsocketConsumer.websocket_disconnect(self, message)
            # Redis is told of it a moment later.
            await until_async(lambda: not has_members(layer, group, redis_url), "the room is empty")
            raise StopConsumer

        async def disconnect(self, code: int) -> None:
            cleaned.append(code)

    client = await room_of(Keeping, room)
    await client.disconnect(code=4001, timeout=30)
    assert cleaned == [4001]
    both = await room_of(consumer, room)
    await both.leave()
    await until_async(lambda: not has_members(layer, group, redis_url), "the room is empty")
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    await ended(layer)


async def test_S0_48_S0_49_S0_50_leaving(layer: Any, src: Src, free_name: Names, caplog: Any) -> None:
    consumer, room = src("apps.room_chat.consumer").RoomChatConsumer, free_name()
    staying, leaving = await room_of(consumer, room), await room_of(consumer, room)
    await staying.hear()
    await leaving.leave()
    assert await staying.hear() == left(room)

    class Unjoined(consumer):  # type: ignore[misc, valid-type]  # a class of the seeds
        async def post_authentication(self) -> None:
            assert self.room_group_name is None

    unjoined = await room_of(Unjoined, room)
    await unjoined.leave()
    await staying.hears_nothing()
    await staying.leave()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await ended(layer)


@pytest.mark.parametrize("room", ["general", "private"])
def test_S0_51_groups_of_the_rooms(typed_server: Server, room: str) -> None:
    with enter(typed_server, room) as client:
        say(client, "here")
        assert client.receive_json() == chat("here", room)


# Routes


def on_a_router(consumer: Any) -> Any:
    router = APIRouter()
    router.add_websocket_route("/room/{room_name}", consumer.as_asgi())
    app = FastAPI()
    app.include_router(router, prefix="/ws")
    return app


def mounted(consumer: Any) -> Any:
    router = APIRouter()
    router.add_websocket_route("/room/{room_name}", consumer.as_asgi())
    app = FastAPI()
    app.mount("/ws", router)
    return app


def starlette(consumer: Any) -> Any:
    return Router(routes=[Mount("/ws", routes=[WebSocketRoute("/room/{room_name}", consumer.as_asgi())])])


@pytest.mark.parametrize("make", [on_a_router, mounted, starlette])
def test_S0_56_S0_57_S0_58_routes(src: Src, make: Callable[[Any], Any]) -> None:
    register_channel_layer("chat", InMemoryChannelLayer())
    consumer = src("apps.room_chat.consumer").RoomChatConsumer
    with LiveServer(make(consumer)) as server, enter(server, "general") as client:
        say(client, "here")
        assert client.receive_json() == chat("here", "general")


def test_S0_59_uvicorn_reloads_with_sockets_open(typed_app: SeedApp, free_name: Names) -> None:
    room = free_name()
    with typed_app.serve("--reload", log="reload.log") as server:
        before = enter(server, room)
        hears_nothing(before)
        main = typed_app.src / "main.py"
        main.write_text(
            main.read_text() + "\n\n@app.get('/reloaded')\ndef reloaded() -> int:\n    return 7\n"
        )
        until(lambda: _reloaded(server), "the new code is served", deadline_s=60)
        assert before.wait_closed()[0] in (1001, 1006, 1012)
        with enter(server, room) as after:
            hears_nothing(after)


def _reloaded(server: Server) -> bool:
    try:
        return get(server, "/reloaded").text == "7"
    except httpx.TransportError:
        return False


def test_S0_60_the_example_has_a_compose_file_with_redis() -> None:
    folder = EXAMPLES / "fastapi_port"
    services = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"]
    assert services["redis"]["image"].startswith("redis:")
    assert services["redis"]["ports"] == ["127.0.0.1:6379:6379"]  # for nobody outside this machine
    for name in ("web", "worker"):
        service = services[name]
        assert service["environment"]["REDIS_URL"] == "redis://redis:6379"
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
        context = (folder / service["build"]["context"]).resolve()
        dockerfile = (context / service["build"]["dockerfile"]).read_text()
        for copied in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
            assert all((context / source).exists() for source in copied.split())
    assert (
        "main:app" in services["web"]["command"] and "showcase.tasks:broker" in services["worker"]["command"]
    )
    assert not any("profiles" in service for service in services.values())  # "up -d" starts all of them


def test_S0_60_the_redis_of_the_compose_file_answers(tmp_path: Path) -> None:
    """Its command and its health check, without a container."""
    services = yaml.safe_load((EXAMPLES / "fastapi_port" / "docker-compose.yml").read_text())["services"]
    how, *check = services["redis"]["healthcheck"]["test"]
    assert how == "CMD"
    port = free_port()
    command = [*services["redis"]["command"], "--port", str(port), "--dir", str(tmp_path)]
    with Process([*command, "--bind", "127.0.0.1"], cwd=tmp_path, log=tmp_path / "redis.log") as process:
        process.wait_listening(port)
        answer = subprocess.run(
            [*check[:1], "-p", str(port), *check[1:]], capture_output=True, text=True, timeout=15, check=True
        )
        assert answer.stdout.strip() == "PONG"
        client = redis.Redis(port=port)
        client.set("key", "value")
        assert client.get("key") == b"value"
        client.close()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with FASTAPI.serve(tmp_path_factory.mktemp("example") / "server.log") as server:
        yield server


def test_S0_61_the_first_page_leads_to_a_room_that_connects_by_itself(
    example: Server, chromium: Browser
) -> None:
    first = chromium.current_window_handle
    page = Page(chromium, example.http("/"))
    try:
        page.find("a[href='/showcase/']").click()
        until(lambda: page.run("return location.pathname") == "/showcase/", "the showcase")
        page.find("a.part[href='/showcase/room/']").click()
        until(lambda: page.run("return location.pathname") == "/showcase/room/", "the room's page")
        page.find("#room").clear()
        page.find("#room").send_keys("general\n")
        page.is_connected()
        until(lambda: page.texts("#log .line"), "it is in")
    finally:
        page.front()
        chromium.close()
        chromium.switch_to.window(first)


def test_S0_59_the_server_ends_in_order_with_sockets_open(typed_app: SeedApp, free_name: Names) -> None:
    with typed_app.serve(log="stop.log") as server:
        client = enter(server, free_name())
        hears_nothing(client)
        os.kill(server.process.pid, signal.SIGTERM)
        assert client.wait_closed()[0] == 1012
        until(lambda: server.process.returncode is not None, "the server has ended")
    assert "Traceback" not in Path(typed_app.folder / "stop.log").read_text()
