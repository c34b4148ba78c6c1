"""S3-47 to S3-60: the finished chat, with rooms, without Django."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.typing import Origin

from compat.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from compat.layers import get_channel_layer
from compat.patterns import path
from compat.routing import URLRouter
from compat.settings import settings
from tests.seeds.conftest import ServeTutorial
from tests.support.clients import Client, Refused
from tests.support.environments import Environment
from tests.support.paths import acceptance_material
from tests.support.servers import Address, LiveServer, Server
from tests.support.tutorial import Tutorial
from tests.support.waiting import until

MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class Route(AsyncJsonWebsocketConsumer):
    """Sends what the URL gave it."""

    async def connect(self) -> None:
        await self.accept()
        await self.send_json(self.scope["url_route"])


def starlette_app() -> Any:
    return Starlette(routes=[WebSocketRoute("/ws/{room_name}/", Route.as_asgi())])


def fastapi_app() -> Any:
    router = APIRouter()
    router.add_websocket_route("/{room_name}/", Route.as_asgi())
    app = FastAPI()
    app.include_router(router, prefix="/ws")
    return app


def patterns_app() -> Any:
    return URLRouter([path("ws/<str:room_name>/", Route.as_asgi())])


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, patterns_app])
def test_S3_47_S3_48_url_route_is_filled_by_every_kind_of_route(make: Callable[[], Any]) -> None:
    with LiveServer(make()) as server, Client(server, "/ws/lobby/") as client:
        assert client.receive_json() == {"args": [], "kwargs": {"room_name": "lobby"}}


async def test_S3_48_url_route_args_is_a_tuple() -> None:
    from compat.testing import WebsocketCommunicator

    class Looking(AsyncJsonWebsocketConsumer):
        async def connect(self) -> None:
            assert self.scope["url_route"]["args"] == ()
            await self.accept()

    communicator = WebsocketCommunicator(URLRouter([path("x/", Looking.as_asgi())]), "/x/")
    assert await communicator.connect() == (True, None)
    await communicator.disconnect()


def say(sender: Client, text: str, *hearers: Client) -> None:
    """One says it; each hearer's next frame must be it."""
    sender.send_json({"message": text})
    for hearer in hearers:
        assert hearer.receive_json() == {"message": text}


@pytest.mark.parametrize("name", ["lobby", "Lobby_2", "0"])
def test_S3_49_group_named_by_the_room(room: Server, name: str) -> None:
    with Client(room, f"/ws/chat/{name}/") as a, Client(room, f"/ws/chat/{name}/") as b:
        say(a, "hello", a, b)


@pytest.mark.parametrize("layer", ["memory", "redis"])
def test_S3_50_any_number_of_sync_consumers_join_at_once(
    serve_tutorial: ServeTutorial, bare: Environment, layer: str
) -> None:
    server = serve_tutorial(bare, layer=layer)
    heard = asyncio.run(all_hear(server, "/ws/chat/crowd/", 60))
    assert heard == [{"message": "hello"}] * 60


async def all_hear(server: Address, url: str, count: int) -> list[Any]:
    """What each of `count` sockets, opened side by side, hears first when one has said hello."""
    async with contextlib.AsyncExitStack() as stack:
        origin = Origin(server.origin)
        opening = [
            stack.enter_async_context(connect(server.ws(url), origin=origin, proxy=None, open_timeout=60))
            for _ in range(count)
        ]
        sockets = await asyncio.gather(*opening)
        await sockets[0].send('{"message": "hello"}')
        frames = await asyncio.wait_for(asyncio.gather(*(socket.recv() for socket in sockets)), 60)
        return [json.loads(frame) for frame in frames]


def test_S3_51_group_send_in_receive_and_group_discard_in_disconnect(room: Server) -> None:
    before = len(room.log())
    with Client(room, "/ws/chat/leaving/") as staying:
        for _ in range(3):
            with Client(room, "/ws/chat/leaving/") as leaving:
                say(leaving, "here", leaving, staying)
        say(staying, "alone again", staying)
    assert "Traceback" not in room.log()[before:]


def test_S3_52_underscore_type_calls_the_method(room: Server) -> None:
    """The tutorial's event type has an underscore and no dot; the message would not come back otherwise."""
    with Client(room, "/ws/chat/underscore/") as client:
        say(client, "through chat_message", client)


def test_S3_53_sync_group_handler_sends(room: Server) -> None:
    with Client(room, "/ws/chat/handlers/") as a, Client(room, "/ws/chat/handlers/") as b:
        for text in ("one", "two", "three"):
            say(a, text, a, b)


def test_S3_54_two_in_the_lobby_hear_each_message_once_and_another_room_none(room: Server) -> None:
    with (
        Client(room, "/ws/chat/lobby54/") as first,
        Client(room, "/ws/chat/lobby54/") as second,
        Client(room, "/ws/chat/other54/") as other,
    ):
        say(first, "hello", first, second)
        say(second, "hello yourself", first, second)
        # Each next frame is the next message: none came twice, and none went astray.
        say(other, "nobody here", other)
        say(first, "still two of us", first, second)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True),
        ("A-z_0.9", True),
        ("x" * 99, True),
        ("x" * 100, False),
        ("", False),
        ("café", False),
        ("a b", False),
        ("a/b", False),
        ("a!b", False),
        ("a:b", False),
        ("٣", False),
        ("a\n", False),
        (b"bytes", False),
        (None, False),
    ],
)
async def test_S3_55_group_names(name: Any, good: bool) -> None:
    with settings.override(CHANNEL_LAYERS=MEMORY):
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        if good:
            await layer.group_add(name, channel)
            return
        text = (
            "Group name must be a valid unicode string with length < 100 containing only ASCII "
            "alphanumerics, hyphens, underscores, or periods."
        )
        for call in (layer.group_add(name, channel), layer.group_send(name, {"type": "x"})):
            with pytest.raises(TypeError) as raised:
                await call
            assert str(raised.value).startswith(text)


@pytest.mark.parametrize(("quoted", "name"), [("caf%C3%A9", "café"), ("x" * 200, "x" * 100)])
def test_S3_56_a_bad_group_name_refuses_that_connection_and_says_why(
    serve_tutorial: ServeTutorial, bare: Environment, quoted: str, name: str
) -> None:
    server = serve_tutorial(bare)
    with Client(server, "/ws/chat/bystander/") as bystander:
        with pytest.raises(Refused) as refused:
            Client(server, f"/ws/chat/{quoted}/")
        assert refused.value.status == 403
        log = server.process.wait_log(name)
        assert "Group name must be a valid unicode string" in log and "ChatConsumer" in log
        say(bystander, "still here", bystander)


class Undecided(WebsocketConsumer):
    """Does not call accept()."""

    codes: list[int] = []

    def connect(self) -> None: ...

    def disconnect(self, code: int) -> None:
        self.codes.append(code)


class Refusing(Undecided):
    """Closes before it accepts."""

    codes: list[int] = []

    def connect(self) -> None:
        self.close(code=4001)


class Late(WebsocketConsumer):
    """Sends to its own group, and accepts last of all."""

    groups = ["s3.late"]

    def connect(self) -> None:
        from asgiref.sync import async_to_sync

        for number in range(3):
            event = {"type": "chat_message", "message": number}
            async_to_sync(self.channel_layer.group_send)("s3.late", event)
        self.accept()

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=str(event["message"]))


class Closing(WebsocketConsumer):
    """Remembers the codes that disconnect() was given."""

    codes: list[int] = []

    def disconnect(self, code: int) -> None:
        self.codes.append(code)


@pytest.fixture(scope="module")
def own() -> Iterator[LiveServer]:
    routes = [
        path("undecided/", Undecided.as_asgi()),
        path("refusing/", Refusing.as_asgi()),
        path("late/", Late.as_asgi()),
        path("closing/", Closing.as_asgi()),
    ]
    with settings.override(CHANNEL_LAYERS=MEMORY), LiveServer(URLRouter(routes)) as server:
        yield server


def test_S3_57_connect_without_accept_is_refused(own: LiveServer) -> None:
    with pytest.raises(Refused) as refused:
        Client(own, "/undecided/")
    assert refused.value.status == 403
    until(lambda: len(Undecided.codes) == 1, "disconnect() has run")


def test_S3_58_messages_sent_before_accept_arrive_after_it(own: LiveServer) -> None:
    with Client(own, "/late/") as client:
        assert [client.receive() for _ in range(3)] == ["0", "1", "2"]


def test_S3_59_disconnect_runs_after_a_refusal(own: LiveServer) -> None:
    with pytest.raises(Refused):
        Client(own, "/refusing/")
    until(lambda: Refusing.codes == [1006], "disconnect() has run, with the code that servers give")


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4321])
def test_S3_59_disconnect_gets_the_client_s_close_code(own: LiveServer, code: int) -> None:
    Client(own, "/closing/").close(code)
    until(lambda: Closing.codes[-1:] == [code], f"disconnect({code}) has run")


def test_S3_60_no_line_of_the_tutorial_is_changed(tutorial: Tutorial, room: Server, project: Path) -> None:
    """What the room server runs is the seed's own text, file by file."""
    seed = acceptance_material() / "seeds" / "003_8c0bff871cd05d36.txt"
    text = seed.read_text(encoding="utf-8")
    served_from = Path(f"/proc/{room.process.pid}/cwd").resolve()
    files = [
        "chat/consumers.py",
        "chat/routing.py",
        "chat/views.py",
        "chat/urls.py",
        "chat/templates/chat/room.html",
        "mysite/asgi.py",
    ]
    for file in files:
        assert (served_from / file).read_text(encoding="utf-8") in text, file
    with Client(room, "/ws/chat/unchanged/") as client:
        say(client, "and it runs", client)
