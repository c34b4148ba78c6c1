"""The twenty traps of a port by hand, each a message that says what to do, or impossible.

Their numbers are those of the account of that port (the acceptance material's UX.md). A trap of a running
server is tried against a real uvicorn.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from compat import AsyncWebsocketConsumer, WebsocketConsumer, get_channel_layer
from compat.auth import AuthMiddlewareStack
from compat.exceptions import InvalidChannelLayerError
from compat.fastapi import include_consumers
from compat.fastapi import lifespan as open_layers
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.patterns import re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.settings import override
from compat.testing import WebsocketCommunicator
from tests.support.clients import Client, Refused
from tests.support.environments import Environment
from tests.support.logs import Records, recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until

MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
ROOM = r"ws/chat/(?P<room_name>\w+)/$"


@pytest.fixture(autouse=True)
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer()
    register_channel_layer("default", made)
    yield made
    unregister_channel_layer("default")


@contextlib.contextmanager
def served(consumer: Any, route: str = ROOM) -> Iterator[LiveServer]:
    """uvicorn with that consumer behind a router of Channels' patterns."""
    app = ProtocolTypeRouter({"websocket": URLRouter([re_path(route, consumer.as_asgi())])})
    with LiveServer(app) as server:
        yield server


def said(records: Records, *texts: str) -> str:
    """The one record that has all of these texts, once it is there."""

    def matching() -> list[str]:
        return [line for line in records.messages() if all(text in line for text in texts)]

    until(matching, f"a record with {texts}; there are {records.messages()}")
    (line,) = matching()
    return line


class Room(AsyncWebsocketConsumer):
    """The tutorial's consumer, in our words."""

    async def connect(self) -> None:
        self.room = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(self.room, {"type": "chat.message", "text": text_data})

    async def chat_message(self, event: Any) -> None:
        await self.send(text_data=event["text"])


def test_trap_01_sync_consumers_stay_sync() -> None:
    class SyncRoom(WebsocketConsumer):
        def connect(self) -> None:
            async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
            self.accept()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            async_to_sync(self.channel_layer.group_send)("room", {"type": "chat.message", "text": text_data})

        def chat_message(self, event: Any) -> None:
            self.send(text_data=event["text"])

    with served(SyncRoom) as server, Client(server, "/ws/chat/lobby/") as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_trap_01_a_method_of_the_wrong_kind_is_named_when_the_class_is_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Half(AsyncWebsocketConsumer):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:  # type: ignore[override]
            pass

    class Other(WebsocketConsumer):
        async def connect(self) -> None:  # type: ignore[override]
            pass

    first, second = (record.getMessage() for record in caplog.records)
    assert re.search(r"Half\.receive .*test_ux_traps.* is a plain 'def'.*Write 'async def receive'", first)
    assert re.search(r"Other\.connect .*test_ux_traps.* is an 'async def'.*Write 'def connect'", second)


class ForgetsGroupSend(Room):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.channel_layer.group_send(self.room, {"type": "chat.message", "text": text_data})


class ForgetsSend(Room):
    async def chat_message(self, event: Any) -> None:
        self.send(text_data=event["text"])  # type: ignore[unused-coroutine]  # pyright: ignore


@pytest.mark.parametrize(
    ("consumer", "method", "call"),
    [
        pytest.param(
            ForgetsGroupSend, "receive", "self.channel_layer.group_send", id="trap_02_await_of_group_send"
        ),
        pytest.param(ForgetsSend, "chat_message", "self.send", id="trap_03_await_of_send"),
    ],
)
def test_a_forgotten_await_is_an_error_with_file_and_line(consumer: Any, method: str, call: str) -> None:
    lines, start = inspect.getsourcelines(getattr(consumer, method))
    line = start + next(number for number, text in enumerate(lines) if f"{call}(" in text)
    with warnings.catch_warnings(), recorded() as records, served(consumer) as server:
        warnings.simplefilter("ignore", RuntimeWarning)  # Python's own, which comes as well
        with Client(server, "/ws/chat/lobby/") as client:
            client.send("hello")
            report = said(records, "compat.consumer ERROR", f"{consumer.__name__}.{method}")
    assert f"({__file__}:{line})" in report and f"Write: await {call}(...)" in report


def test_trap_04_a_regex_keeps_its_limits_and_a_refusal_says_what_was_tried() -> None:
    with recorded() as records, served(Room) as server:
        with pytest.raises(Refused) as refused:
            Client(server, "/ws/chat/a-b/")
        assert refused.value.status in (403, 404)
        report = said(records, "'/ws/chat/a-b/' refused")
    assert r"(?P<room_name>\\w+)" in report


def test_trap_05_url_route_is_there_also_with_starlettes_own_routes() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws/chat/{room_name}/", Room.as_asgi())])
    with LiveServer(app) as server, Client(server, "/ws/chat/lobby/") as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_trap_05_a_parameter_that_the_path_has_not_is_named() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws/chat/{room}/", Room.as_asgi())])
    with recorded() as records, LiveServer(app) as server, pytest.raises(Refused):
        Client(server, "/ws/chat/lobby/")
    report = said(records, "KeyError: 'room_name'")
    assert "The pattern of the path has no parameter 'room_name' (it has: 'room')" in report


def test_trap_06_an_alias_that_is_not_registered_is_named_with_those_that_are() -> None:
    class Elsewhere(Room):
        channel_layer_alias = "chat"

    with recorded() as records, served(Elsewhere) as server, pytest.raises(Refused):
        Client(server, "/ws/chat/lobby/")
    report = said(records, "Elsewhere uses channel layer 'chat', which is not configured")
    assert "Configured: default." in report and "Add it to CHANNEL_LAYERS" in report


def test_trap_07_the_redis_layer_is_found_wherever_it_is_looked_for() -> None:
    import compat.layers
    import compat.layers.redis

    assert compat.layers.RedisChannelLayer is RedisChannelLayer
    assert compat.layers.redis.RedisChannelLayer is RedisChannelLayer
    with override(CHANNEL_LAYERS={"queue": {"BACKEND": "channels_redis.cor.RedisChannelLayer"}}):
        with pytest.raises(InvalidChannelLayerError, match=r"did you mean 'channels_redis\.core\.Redis"):
            get_channel_layer("queue")


def test_trap_08_and_09_the_hint_of_fastapi_ends_in_an_error_with_the_call_that_works() -> None:
    app = FastAPI()
    add = getattr(app, "add_websocket_route", None) or app.add_api_websocket_route  # as FastAPI suggests
    with pytest.raises(
        Exception, match=r"Room\.as_asgi\(\) is an ASGI application, not an endpoint"
    ) as error:
        app.add_api_websocket_route("/ws/chat/{room_name}/", Room.as_asgi())
    right = re.search(r"app\.router\.add_websocket_route\(path, Room\.as_asgi\(\)\)", str(error.value))
    assert right is not None and add is not None
    eval(right.group(), {"app": app, "Room": Room, "path": "/ws/chat/{room_name}/"})
    with LiveServer(app) as server, Client(server, "/ws/chat/lobby/") as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_trap_10_sockets_open_to_every_site_are_said_at_start_and_one_line_closes_them() -> None:
    app = FastAPI(lifespan=open_layers)
    include_consumers(app, [re_path(ROOM, Room.as_asgi())])
    evil = "http://evil.example"
    with override(CHANNEL_ORIGIN_CHECK=True), recorded() as records:
        with LiveServer(app, lifespan="on") as server:
            report = said(records, "compat.security WARNING", "no Origin check")
            assert ROOM in report.replace("\\\\", "\\") and "configure(ALLOWED_HOSTS=" in report
            with Client(server, "/ws/chat/lobby/", origin=evil) as client:
                client.send("served, as by Channels")
                assert client.receive() == "served, as by Channels"
        with override(ALLOWED_HOSTS=["127.0.0.1"]), LiveServer(app) as server:
            with pytest.raises(Refused) as refused:
                Client(server, "/ws/chat/lobby/", origin=evil)
            assert refused.value.status == 403
            assert "evil.example" in said(records, "refused with 403")
            Client(server, "/ws/chat/lobby/").close()


class Greeting(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=f"hello {self.scope['user']}")


def test_trap_11_a_user_that_nobody_looked_up_names_the_middleware() -> None:
    with recorded() as records, served(Greeting) as server:
        with Client(server, "/ws/chat/lobby/") as client:
            client.send("who am I?")
            assert client.wait_closed()[0] == 1011
        assert "wrap the application in AuthMiddlewareStack (compat.auth)" in said(
            records, "KeyError: 'user'"
        )
    with LiveServer(AuthMiddlewareStack(Greeting.as_asgi())) as server, Client(server, "/") as client:
        client.send("who am I?")
        assert client.receive() == "hello AnonymousUser"


def test_trap_12_templates_stay_what_they_are(bare: Environment, tmp_path: Path) -> None:
    """The shim's templates have json_script, in Django's syntax, without Django."""
    code = (
        "import django_shim; django_shim.install()\n"
        "from django.conf import settings\n"
        "settings.configure(TEMPLATES=[{'BACKEND': 'django.template.backends.django.DjangoTemplates'}])\n"
        "import django; django.setup()\n"
        "from django.template import engines\n"
        "page = engines['django'].from_string('{{ room|json_script:\"room-name\" }}')\n"
        "print(page.render({'room': '</script>'}))\n"
    )
    done = bare.run("python", "-c", code, cwd=tmp_path)
    assert done.stdout.startswith('<script id="room-name" type="application/json">"\\u003C'), done.stderr


def test_trap_13_the_dict_of_the_settings_is_taken_as_it_is() -> None:
    unregister_channel_layer("default")
    with override(CHANNEL_LAYERS=MEMORY):
        assert isinstance(get_channel_layer(), InMemoryChannelLayer)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ({"one": "redis://localhost"}, r"CHANNEL_LAYERS\['one'\] must be a dict with a BACKEND"),
        ({"one": {"backend": "x.Y"}}, r"unknown key 'backend'; did you mean 'BACKEND'\?"),
        ({"one": {"CONFIG": {}}}, "No BACKEND specified for one"),
        ([("one", {})], r"must be a dict of alias to layer, as in \{\"default\""),
        (
            {"one": {"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": {"hosts": []}}},
            r"unexpected option 'hosts' \(CONFIG of CHANNEL_LAYERS\); known options: capacity",
        ),
    ],
)
def test_trap_13_a_dict_that_cannot_be_used_says_why(layers: Any, text: str) -> None:
    with override(CHANNEL_LAYERS=layers), pytest.raises((InvalidChannelLayerError, TypeError), match=text):
        get_channel_layer("one")


async def test_trap_14_an_idle_socket_outlives_the_timeout_of_redis_py(redis_url: str) -> None:
    """``socket_timeout`` bounds a reply that is due, and not the wait for a message."""
    limit_s = 0.5
    layer = RedisChannelLayer([{"address": redis_url, "socket_timeout": limit_s}])
    try:
        channel = await layer.new_channel()
        waiting = asyncio.ensure_future(layer.receive(channel))
        done, _ = await asyncio.wait((waiting,), timeout=limit_s * 3)
        assert not done
        await layer.send(channel, {"type": "late"})
        assert await asyncio.wait_for(waiting, 15) == {"type": "late"}
    finally:
        await layer.close_pools()


@pytest.mark.parametrize("room", ["café", "x" * 120])
def test_trap_15_a_room_name_that_makes_a_bad_group_name_is_explained(room: str) -> None:
    from urllib.parse import quote

    with recorded() as records, served(Room) as server:
        with pytest.raises(Refused) as refused:
            Client(server, f"/ws/chat/{quote(room)}/")
        assert refused.value.status == 403
        report = said(records, "Group name must be a valid unicode string")
    assert ("'é'" in report) or ("it has 125 characters" in report)
    assert "compat.names.group_name(text) makes a valid group name" in report


def test_trap_15_an_unknown_path_is_the_clients_mistake() -> None:
    with recorded() as records, served(Room) as server:
        with pytest.raises(Refused) as refused:
            Client(server, "/ws/nothing/")
        assert refused.value.status in (403, 404)
        assert "no route matches. Tried: " in said(records, "'/ws/nothing/' refused")


def test_trap_16_a_slash_that_is_missing_is_named() -> None:
    with recorded() as records, served(Room) as server:
        with pytest.raises(Refused):
            Client(server, "/ws/chat/lobby")
        line = said(records, "'/ws/chat/lobby' refused")
        assert "There is a route for the path with a slash at its end." in line


def test_trap_17_after_an_exception_disconnect_runs_and_the_groups_are_left(
    layer: InMemoryChannelLayer,
) -> None:
    ended: list[int] = []

    class Fails(Room):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise RuntimeError("no idea")

        async def disconnect(self, code: int) -> None:
            ended.append(code)

    with recorded() as records, served(Fails) as server:
        with Client(server, "/ws/chat/lobby/") as client:
            client.send("hello")
            assert client.wait_closed()[0] == 1011
        report = said(records, "compat.consumer ERROR", "RuntimeError: no idea")
        until(lambda: not layer.groups.get("chat_lobby"), "the group is left")
    assert ended == [1011] and "Fails at '/ws/chat/lobby/'" in report and "websocket.receive" in report


async def test_trap_18_what_is_dropped_at_capacity_is_told_counted_and_logged() -> None:
    layer = InMemoryChannelLayer(capacity=100)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    with recorded() as records:
        results = [await layer.group_send("room", {"type": "said"}) for _ in range(150)]
    assert sum(result.dropped for result in results) == 50
    report = said(records, "compat.layers WARNING", f"channel {channel} lost a message")
    assert "at capacity (raise the layer's capacity, set CONFIG['on_overflow'], or read faster)" in report


async def test_trap_19_a_test_that_waits_for_a_lost_message_ends_and_says_what_to_look_at() -> None:
    class Silent(AsyncWebsocketConsumer):
        pass

    communicator = WebsocketCommunicator(Silent.as_asgi(), "/ws/")
    await communicator.connect()
    with pytest.raises(asyncio.TimeoutError, match=r"'/ws/' sent no message within 0\.1 s.*it awaits send"):
        await communicator.receive_from(timeout=0.1)


def test_trap_20_a_list_of_groups_on_the_class_is_not_shared() -> None:
    class Joins(AsyncWebsocketConsumer):
        groups = ["everybody"]

        async def connect(self) -> None:
            self.groups.append(self.scope["url_route"]["kwargs"]["room_name"])
            await self.accept()
            await self.send(text_data=" ".join(self.groups))

    with served(Joins) as server:
        with Client(server, "/ws/chat/one/") as one, Client(server, "/ws/chat/two/") as two:
            assert one.receive() == "everybody one"
            assert two.receive() == "everybody two"
    assert Joins.groups == ["everybody"]
