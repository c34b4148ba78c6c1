"""Consumers of every kind whose clients may come back; what happens to them is noted in RESUME_NOTES.

Paths are ``/async/?who`` and so on; the cookie ``user`` or ``token`` names the user. Frames of a client are
commands (see ``operations``), which the page ``/tell`` gives as well, also while the client is away. Below
``/session/`` the user is that of a session, in the channel layer; the page ``/login`` begins one. From the
environment: RESUME_LAYER, RESUME_REDIS and RESUME_PREFIX (without them a layer in memory), RESUME_SECRET,
RESUME_DRAIN.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from functools import cache
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any, Literal

from asgiref.sync import async_to_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.websockets import WebSocket, WebSocketDisconnect

from compat import AsyncConsumer, AsyncWebsocketConsumer, WebsocketConsumer, configure, metrics
from compat.auth import AuthMiddleware, AuthMiddlewareStack, login, logout
from compat.closing import close_group, close_user
from compat.exceptions import StopConsumer
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import get_channel_layer
from compat.manager import BaseConsumer, ConnectionManager, Message, WSConfig
from compat.middleware import BaseMiddleware
from compat.patterns import path
from compat.resume import Resumable
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.typed import AsyncJsonWebsocketConsumer as TypedConsumer
from compat.typed import BaseMessage, channel, event_handler, ws_handler
from tests.support import relays

ROOM = "room"
CAPACITY = 5_000
BACKEND = os.environ.get("RESUME_LAYER", "compat.layers.InMemoryChannelLayer")
CONFIG: dict[str, Any] = {"capacity": CAPACITY}
if "RESUME_REDIS" in os.environ:
    CONFIG |= {"hosts": [os.environ["RESUME_REDIS"]], "prefix": os.environ["RESUME_PREFIX"]}
configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    AUTHENTICATION_BACKENDS=[f"{__name__}.Backend"],
    SESSION_ENGINE="compat.session_layer",
    CHANNEL_LAYERS={"default": {"BACKEND": BACKEND, "CONFIG": CONFIG}},
    DRAIN_SECONDS=float(os.environ.get("RESUME_DRAIN", "0")),
    SECRET_KEY=os.environ.get("RESUME_SECRET", ""),
)
relays.be_patient()
banned: set[str] = set()
senders: dict[str, Any] = {}
"""What the plain endpoint sends by."""


def note(what: str, who: str, **more: Any) -> None:
    """Add a line to the notes."""
    line = json.dumps({"what": what, "who": who, "pid": os.getpid(), **more}) + "\n"
    os.write(_notes(), line.encode())  # one write to the end of the file is not mixed with others


@cache
def _notes() -> int:
    """The file of the notes, opened once: on a busy disk that holds up the event loop."""
    return os.open(os.environ["RESUME_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def who_of(scope: Any) -> str:
    return str(scope["query_string"].decode())


def subprotocol_of(scope: Any) -> str | None:
    """A consumer whose name begins with "chat" speaks a subprotocol of its own, if its client does."""
    ours = who_of(scope).startswith("chat") and "chat.v2" in scope["subprotocols"]
    return "chat.v2" if ours else None


def operations(consumer: Any, command: str | bytes) -> Iterator[tuple[str, Any]]:
    """What a consumer is to do for a command: send a value, close, wait for its client."""
    if isinstance(command, bytes):
        yield "send", command
        return
    verb, _, rest = command.partition(" ")
    if verb == "echo":
        yield "send", rest
    elif verb == "size":
        yield "send", "x" * int(rest)
    elif verb == "count":  # from, to (and how long each)
        first, last, size = (*map(int, rest.split()), 0)[:3]
        for number in range(first, last):
            yield "send", f"{'x' * size}{number}"
    elif verb == "room":
        first, last = map(int, rest.split())
        for number in range(first, last):
            yield "room", number
    elif verb == "hear":
        consumer.heard.append(int(rest))
    elif verb == "heard":
        yield "send", json.dumps(consumer.heard)
    elif verb == "who":
        scope = consumer.scope
        offered = [value.decode() for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
        yield (
            "send",
            json.dumps(
                {
                    "channel": consumer.channel_name,
                    "self": id(consumer),
                    "pid": os.getpid(),
                    "resume": scope.get("resume"),
                    "subprotocols": scope["subprotocols"],
                    "offered": offered,
                }
            ),
        )
    elif verb == "raise":
        raise LookupError(f"as {who_of(consumer.scope)} was told")
    elif verb == "close":
        yield "close", int(rest)
    elif verb == "delivered":
        yield "delivered", float(rest)
    elif verb == "note":
        note("noted", who_of(consumer.scope), text=rest)
    else:
        yield "send", command


class Async(AsyncWebsocketConsumer):
    groups = [ROOM]
    user_groups = True

    async def connect(self) -> None:
        self.who = who_of(self.scope)
        self.heard: list[int] = []
        note("connect", self.who, resume=self.scope.get("resume"))
        await self.channel_layer.group_add(f"one.{self.who}", self.channel_name)
        if self.who.startswith("refused"):
            await self.close()
        else:
            await self.accept(subprotocol_of(self.scope))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.act(bytes_data if text_data is None else text_data)

    async def put(self, value: Any) -> None:
        if isinstance(value, bytes):
            await self.send(bytes_data=value)
        else:
            await self.send(text_data=str(value))

    async def act(self, command: Any) -> None:
        for what, value in operations(self, command):
            if what == "send":
                await self.put(value)
            elif what == "room":
                await self.channel_layer.group_send(ROOM, {"type": "numbered", "n": value})
            elif what == "close":
                await self.close(value)
            elif what == "delivered":
                note("delivered", self.who, value=await self.delivered(timeout=value))

    async def told(self, event: Any) -> None:
        await self.act(event["text"])

    async def numbered(self, event: Any) -> None:
        await self.put(event["n"])

    async def compat_parked(self) -> None:
        note("parked", self.who)

    async def compat_resumed(self, message: Any) -> None:
        note("resumed", self.who)

    async def disconnect(self, code: int) -> None:
        note("disconnect", self.who, code=code)


class Sync(WebsocketConsumer):
    groups = [ROOM]
    user_groups = True

    def connect(self) -> None:
        self.who = who_of(self.scope)
        self.heard: list[int] = []
        note("connect", self.who, resume=self.scope.get("resume"))
        async_to_sync(self.channel_layer.group_add)(f"one.{self.who}", self.channel_name)
        if self.who.startswith("refused"):
            self.close()
        else:
            self.accept(subprotocol_of(self.scope))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.act(bytes_data if text_data is None else text_data)

    def put(self, value: Any) -> None:
        if isinstance(value, bytes):
            self.send(bytes_data=value)
        else:
            self.send(text_data=str(value))

    def act(self, command: Any) -> None:
        for what, value in operations(self, command):
            if what == "send":
                self.put(value)
            elif what == "room":
                async_to_sync(self.channel_layer.group_send)(ROOM, {"type": "numbered", "n": value})
            elif what == "close":
                self.close(value)
            elif what == "delivered":
                note("delivered", self.who, value=self.delivered(timeout=value))

    def told(self, event: Any) -> None:
        self.act(event["text"])

    def numbered(self, event: Any) -> None:
        self.put(event["n"])

    def compat_parked(self, message: Any) -> None:
        note("parked", self.who)

    def compat_resumed(self) -> None:
        note("resumed", self.who)

    def disconnect(self, code: int) -> None:
        note("disconnect", self.who, code=code)


class AsyncJson(Async, AsyncJsonWebsocketConsumer):
    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        await AsyncJsonWebsocketConsumer.receive(self, text_data, bytes_data)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.act(content["do"])

    async def put(self, value: Any) -> None:
        await self.send_json({"value": value})


class Json(Sync, JsonWebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        JsonWebsocketConsumer.receive(self, text_data, bytes_data)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.act(content["do"])

    def put(self, value: Any) -> None:
        self.send_json({"value": value})


class Raw(AsyncConsumer):
    """Without the generic consumers: ASGI messages by hand."""

    async def websocket_connect(self, message: Any) -> None:
        note("connect", who_of(self.scope), resume=self.scope.get("resume"))
        self.heard: list[int] = []
        await self.channel_layer.group_add(ROOM, self.channel_name)
        await self.channel_layer.group_add(f"one.{who_of(self.scope)}", self.channel_name)
        await self.send({"type": "websocket.accept"})

    async def websocket_receive(self, message: Any) -> None:
        for what, value in operations(self, message["text"]):
            assert what == "send"
            await self.send({"type": "websocket.send", "text": value})

    async def numbered(self, event: Any) -> None:
        await self.send({"type": "websocket.send", "text": str(event["n"])})

    async def websocket_disconnect(self, message: Any) -> None:
        note("disconnect", who_of(self.scope), code=message["code"])
        await self.channel_layer.group_discard(ROOM, self.channel_name)
        raise StopConsumer


class Do(BaseMessage):
    action: Literal["do"] = "do"
    payload: str


class Value(BaseMessage):
    action: Literal["value"] = "value"
    payload: str


class Numbered(BaseMessage):
    action: Literal["numbered"] = "numbered"
    payload: int


@channel(name="typed")
class Typed(TypedConsumer[Numbered]):
    groups = ["typed"]

    async def post_authentication(self) -> None:
        self.heard: list[int] = []
        note("connect", who_of(self.scope), resume=self.scope.get("resume"))

    @ws_handler(output_type=Value)
    async def handle_do(self, message: Do) -> None:
        for what, value in operations(self, message.payload):
            assert what == "send"
            await self.send_message(Value(payload=value))

    @event_handler
    async def on_numbered(self, event: Numbered) -> Value:
        return Value(payload=str(event.payload))

    async def websocket_disconnect(self, message: Any) -> None:
        note("disconnect", who_of(self.scope), code=message["code"])
        await super().websocket_disconnect(message)


class Short(Async):
    resume_seconds = 1


class ShortSync(Sync):
    resume_seconds = 1


class Off(Async):
    resume_seconds = 0


class Idle(Async):
    idle_timeout = 3


class Beating(Async):
    heartbeat = 0.1

    async def send_heartbeat(self) -> None:
        note("beat", self.who)


class Noticing:
    """A mixin whose method takes no message."""

    who: str

    async def compat_resumed(self) -> None:
        note("resumed", self.who)


class Mixed(Noticing, Async):  # type: ignore[misc]
    async def compat_parked(self) -> None:
        await super().compat_parked()


class Asked(Async):
    """Knows its principal by a header, and lets nobody return who is banned."""

    @classmethod
    def resume_key(cls, scope: Any) -> str:
        return str(dict(scope["headers"]).get(b"x-key", b"").decode())

    @classmethod
    async def resume_allowed(cls, scope: Any) -> bool:
        return cls.resume_key(scope) not in banned


class Managed(BaseConsumer):
    """On the connection manager: ``{"type": "do", "data": command}``."""

    scope: Any
    channel_name = ""

    async def connect(self) -> None:
        self.heard: list[int] = []
        await self.join_group("managed")

    async def receive(self, message: Message) -> None:
        for what, value in operations(self, str(message.data)):
            assert what == "send"
            await self.send_json({"type": "value", "data": value})


manager = ConnectionManager(ws_config=WSConfig(WS_ENABLE_HEARTBEAT=False))


async def managed(scope: Any, receive: Any, send: Any) -> None:
    websocket, who = WebSocket(scope, receive, send), who_of(scope)
    connection = await manager.connect(websocket, who)
    consumer = Managed(connection, manager)
    consumer.scope = scope
    note("connect", who)
    code = 1011
    try:
        await consumer.connect()
        while True:
            frame = await websocket.receive()
            if frame["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(frame["code"])
            await consumer.handle_message(json_str=frame.get("text"), binary=frame.get("bytes"))
    except WebSocketDisconnect as end:
        code = end.code
    finally:
        note("disconnect", who, code=code)
        await consumer.disconnect(code)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI endpoint that knows nothing of us."""
    state = SimpleNamespace(scope=scope, heard=[], channel_name="")
    who = who_of(scope)
    await receive()
    await send({"type": "websocket.accept"})
    note("connect", who)
    senders[who] = send
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for what, value in operations(state, message.get("text") or ""):
                if what == "send":
                    await send({"type": "websocket.send", "text": value})
                elif what == "close":
                    await send({"type": "websocket.close", "code": value})
        note("disconnect", who, code=message["code"])
    finally:
        del senders[who]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Frames come back as they are."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class SmallBuffers:
    """The server's socket takes little: a client that does not read is soon felt."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sock = receive.__self__.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await self.app(scope, receive, send)


# Pages, for the tests


async def tell(request: Request) -> JSONResponse:
    """Have a consumer carry out a command."""
    who, text = request.query_params["who"], request.query_params["text"]
    await _layer().group_send(f"one.{who}", {"type": "told", "text": text})
    return JSONResponse({})


async def publish(request: Request) -> JSONResponse:
    """Send numbers to everybody: to handlers, or as frames that are encoded once for all."""
    first, last = int(request.query_params["first"]), int(request.query_params["last"])
    for number in range(first, last):
        if "frames" in request.query_params:
            await _layer().group_send(ROOM, {"type": "websocket.send", "text": str(number)})
            continue
        await _layer().group_send(ROOM, {"type": "numbered", "n": number})
        await Typed.broadcast_event(Numbered(payload=number), ["typed"])
        await manager.send_to_group("managed", {"type": "value", "data": number})
        for send in tuple(senders.values()):
            await send({"type": "websocket.send", "text": str(number)})
    return JSONResponse({})


async def kick(request: Request) -> JSONResponse:
    """Close the connections of a group, or of a user."""
    if "user" in request.query_params:
        await close_user(request.query_params["user"], 4003)
    else:
        await close_group(f"one.{request.query_params['who']}", 4003)
    return JSONResponse({})


async def login_page(request: Request) -> JSONResponse:
    await login(request.scope, SimpleNamespace(pk=request.query_params["user"]))
    return JSONResponse({})


async def logout_page(request: Request) -> JSONResponse:
    await logout(request.scope)
    return JSONResponse({})


async def ban(request: Request) -> JSONResponse:
    banned.add(request.query_params["key"])
    return JSONResponse({})


async def limit(request: Request) -> JSONResponse:
    """Set how many connections a user may have; 0: as many as they like."""
    configure(CHANNEL_MAX_CONNECTIONS_PER_USER=int(request.query_params["user"]) or None)
    return JSONResponse({})


async def patience(request: Request) -> JSONResponse:
    """Set how many seconds this process waits for the home of a connection."""
    relays.be_patient(float(request.query_params["seconds"]))
    return JSONResponse({})


async def sign(request: Request) -> JSONResponse:
    """Change the key that tickets are signed with."""
    old = request.query_params.get("old")
    configure(SECRET_KEY=request.query_params["key"], SECRET_KEY_FALLBACKS=[old] if old else [])
    return JSONResponse({})


async def numbers(request: Request) -> JSONResponse:
    """What this process has: counts."""
    gc.collect()
    layer = _layer()
    groups = sum(map(len, layer.groups.values())) if hasattr(layer, "groups") else None
    with open("/proc/self/statm", encoding="ascii") as statm:
        memory = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return JSONResponse(
        {
            "pid": os.getpid(),
            "resumable": metrics.resumable(),
            "connections": metrics.snapshot()["connections"],
            "groups": groups,
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "objects": len(gc.get_objects()),
            "memory": memory,
        }
    )


async def names(request: Request) -> JSONResponse:
    """How many of each kind of task and of object this process has."""
    gc.collect()
    running = (getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    kinds = Counter(f"task of {name}" for name in running)
    kinds.update(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return JSONResponse(kinds)


def _layer() -> Any:
    return get_channel_layer()


async def user_of(scope: Any) -> Any:
    cookies = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
    if "token" in cookies:  # an application's own user, which is its key
        return cookies["token"].value
    return SimpleNamespace(pk=cookies["user"].value, is_authenticated=True) if "user" in cookies else None


class OfToken(BaseMiddleware):
    """A middleware inside that of the sessions, which knows the user by other means."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        user = SimpleNamespace(pk="eva", is_authenticated=True)
        await self.inner({**scope, "user": user}, receive, send)


class Backend:
    """Everybody whom a session names."""

    def get_user(self, user_id: str) -> Any:
        return SimpleNamespace(pk=user_id, is_authenticated=True)


CONSUMERS: dict[str, Any] = {
    "async": Async,
    "sync": Sync,
    "asyncjson": AsyncJson,
    "json": Json,
    "raw": Raw,
    "typed": Typed,
    "short": Short,
    "shortsync": ShortSync,
    "off": Off,
    "idle": Idle,
    "beating": Beating,
    "asked": Asked,
    "mixed": Mixed,
}
ENDPOINTS: dict[str, Any] = {
    **{name: consumer.as_asgi() for name, consumer in CONSUMERS.items()},
    "managed": Resumable(managed),
    "plain": Resumable(plain),
    "echo": Resumable(echo),
    "small": SmallBuffers(Async.as_asgi()),
    "smallsync": SmallBuffers(Sync.as_asgi()),
}
PAGES = (tell, publish, kick, ban, limit, patience, sign, numbers, names)

sockets = [path(f"{name}/", endpoint) for name, endpoint in ENDPOINTS.items()]
app = ProtocolTypeRouter(
    {
        "http": AuthMiddlewareStack(
            Starlette(
                routes=[
                    *(Route(f"/{page.__name__}", page) for page in PAGES),
                    Route("/login", login_page),
                    Route("/logout", logout_page),
                ]
            )
        ),
        "websocket": URLRouter(
            [
                path("session/", AuthMiddlewareStack(URLRouter(sockets))),
                path("further/", AuthMiddlewareStack(OfToken(URLRouter(sockets)))),
                path("token/", AuthMiddlewareStack(URLRouter(sockets), get_user=user_of)),
                path("", AuthMiddleware(URLRouter(sockets), get_user=user_of)),
            ]
        ),
    }
)
