"""Every error of the Channels API that a user can cause says what was found and what to do about it.

Channels' own words come first where it has any, since tests in the wild match them; ours follow.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from compat import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer, configure, settings
from compat.auth import AuthMiddleware, UserLazyObject, get_user, login, logout
from compat.exceptions import ChannelFull, ImproperlyConfigured, InvalidChannelLayerError
from compat.layers import (
    InMemoryChannelLayer,
    channel_layers,
    register_channel_layer,
    unregister_channel_layer,
)
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.serializers import SerializerDoesNotExist
from compat.names import get_handler_name
from compat.patterns import path, re_path
from compat.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter, get_default_application
from compat.security.websocket import OriginValidator
from compat.sessions import CookieMiddleware, SessionMiddleware
from compat.settings import override
from compat.testing import HttpCommunicator, WebsocketCommunicator
from compat.types import Message, Receive, Scope, Send
from compat.worker import Worker
from tests.support.logs import recorded


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does nothing."""


async def nothing() -> Message:
    raise AssertionError("nobody is to read here")


async def nowhere(message: Message) -> None:
    raise AssertionError("nobody is to send here")


def run(application: Any, **scope: Any) -> Any:
    return application(scope, nothing, nowhere)


class Chat(AsyncWebsocketConsumer):
    pass


Layer = InMemoryChannelLayer
JUNK: Any = 3

CASES: list[tuple[Callable[[], Any], type[BaseException], str, str]] = [
    # What is called; the error; upstream's words or what was found; what to do
    (lambda: get_handler_name({}), ValueError, "Incoming message has no 'type'", '{"type": "chat.message"'),
    (lambda: get_handler_name({"type": "_x"}), ValueError, "leading underscore", "a public name"),
    (lambda: get_handler_name({"type": 3}), ValueError, "found 3", "such as 'chat.message'"),
    (
        lambda: run(ProtocolTypeRouter({"http": app}), type="x"),
        ValueError,
        "No application configured for scope type 'x'",
        "the ProtocolTypeRouter has 'http'",
    ),
    (
        lambda: ProtocolTypeRouter({"websocket": Chat}),
        TypeError,
        "Chat is a consumer's class",
        r"Write Chat.as_asgi()",
    ),
    (lambda: run(URLRouter([]), type="websocket"), ValueError, "No 'path' key in connection scope", ""),
    (
        lambda: run(URLRouter([path("a/", app)]), type="websocket", path="/b/"),
        ValueError,
        "No route found for path 'b/'",
        "Tried: 'a/'",
    ),
    (
        lambda: URLRouter([JUNK]),
        TypeError,
        "3 is none of them",
        "takes a list of path(), re_path() and Starlette's routes",
    ),
    (lambda: path("<foo:x>/", app), ImproperlyConfigured, "no converter 'foo'", "register_converter() adds"),
    (lambda: re_path("(", app), ImproperlyConfigured, "'(' is not a valid regular", "at position 0"),
    (
        lambda: run(ChannelNameRouter({})),
        ValueError,
        "without a 'channel' key",
        'under "channel" in a Protocol',
    ),
    (
        lambda: run(ChannelNameRouter({"a": app}), channel="b"),
        ValueError,
        "No application configured for channel name 'b'",
        "there are 'a'",
    ),
    (
        get_default_application,
        ImproperlyConfigured,
        "Cannot find ASGI_APPLICATION setting",
        "such as 'mysite.asgi.application'",
    ),
    (lambda: run(CookieMiddleware(app), type="lifespan"), ValueError, "without headers", "Put it below the"),
    (
        lambda: CookieMiddleware.set_cookie({"headers": []}, "a", "b", samesite="x"),
        AssertionError,
        "not 'x'",
        "one of 'strict', 'lax', 'none'",
    ),
    (
        lambda: run(SessionMiddleware(app), type="websocket"),
        ValueError,
        "No cookies in scope",
        "needs to run inside of CookieMiddleware",
    ),
    (
        lambda: run(AuthMiddleware(app), type="websocket"),
        ValueError,
        "cannot find session",
        "AuthMiddlewareStack",
    ),
    (
        lambda: get_user({}),
        ValueError,
        "Cannot find session in scope",
        "wrap your consumer in SessionMiddleware",
    ),
    (lambda: login({}, JUNK), ValueError, "Cannot find session in scope", "SessionMiddleware"),
    (lambda: logout({}), ValueError, "cannot find session in scope", "SessionMiddleware"),
    (lambda: str(UserLazyObject()), ValueError, "before it is ready", "resolve_scope(scope)"),
    (
        lambda: run(OriginValidator(app, ["a"]), type="http"),
        ValueError,
        "You cannot use OriginValidator on a non-WebSocket connection",
        "put it under 'websocket' in a ProtocolTypeRouter",
    ),
    (lambda: OriginValidator(app, "a.com"), TypeError, "must be a list of strings", "write ['a.com']"),
    (lambda: WebsocketCommunicator(app, JUNK), TypeError, "Expected str, got <class 'int'>", "'/ws/chat/'"),
    (
        lambda: WebsocketCommunicator(app, "/").send_to(),
        AssertionError,
        "You must supply exactly one of text_data or bytes_data",
        "send_input(",
    ),
    (
        lambda: HttpCommunicator(app, "GET", "/", body=JUNK),
        AssertionError,
        "body must be bytes, not int",
        "encode a text",
    ),
    (lambda: Worker(app, ["a"], None), ValueError, "Channel layer is not valid", "Add it to CHANNEL_LAYERS"),
    (
        lambda: RedisChannelLayer("redis://:secret@host"),
        ValueError,
        "You must pass a list of Redis hosts",
        "write hosts=['redis://:***@host']",
    ),
    (
        lambda: RedisChannelLayer([JUNK]),
        ValueError,
        "hosts[0]=3 is neither",
        'hosts=["redis://127.0.0.1:6379"]',
    ),
    (
        lambda: RedisChannelLayer(capcity=3),
        TypeError,
        "unexpected option 'capcity'",
        "did you mean 'capacity'?",
    ),
    (
        lambda: RedisChannelLayer(symmetric_encryption_keys="key"),
        ValueError,
        "must be a list of possible keys",
        "write [key]",
    ),
    (
        lambda: RedisChannelLayer(serializer_format="xml"),
        SerializerDoesNotExist,
        "no serializer 'xml'",
        "register_serializer()",
    ),
    (
        lambda: channel_layers.make_test_backend("default"),
        InvalidChannelLayerError,
        "No TEST_CONFIG specified for default",
        "CHANNEL_LAYERS['default']['TEST_CONFIG'] = ",
    ),
    (lambda: Layer().send("a", JUNK), TypeError, "message is not a dict", "dicts with a 'type', not 3"),
    (lambda: Layer().send("a b", {}), TypeError, "Channel name must be a valid", "it contains ' '"),
    (
        lambda: Layer().group_add("a b", "c"),
        TypeError,
        "Group name must be a valid",
        "group_name(text) makes",
    ),
    (lambda: Layer().group_send("x" * 100, {}), TypeError, "it has 100 characters", "group_name(text)"),
    (
        lambda: Layer().require_valid_channel_name("a!b", receive=True),
        TypeError,
        "must end at the !",
        "not 'a!b'",
    ),
    (
        lambda: settings.CHANEL_LAYERS,
        AttributeError,
        "no setting 'CHANEL_LAYERS'",
        "did you mean CHANNEL_LAYERS?",
    ),
    (
        lambda: configure(channel_layers={}),
        ImproperlyConfigured,
        "upper case names",
        "such as CHANNEL_LAYERS",
    ),
]


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with override(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}}):
        yield


@pytest.mark.parametrize(("call", "kind", "what", "cure"), CASES)
async def test_it_says_what_and_how(
    call: Callable[[], Any], kind: type[BaseException], what: str, cure: str
) -> None:
    with pytest.raises(kind) as error:
        result = call()
        if inspect.isawaitable(result):
            await asyncio.wait_for(result, 15)
    assert what in str(error.value) and cure in str(error.value)


# Bare errors of Python in a handler: what they mean is in the log record, behind a server


class Clumsy(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        if text_data == "user":
            print(self.scope["user"])
        elif text_data == "session":
            print(self.scope["session"])
        elif text_data == "parameter":
            print(self.scope["url_route"]["kwargs"]["room"])
        elif text_data == "dict":
            print(dict[str, str]()["other"])
        elif text_data == "nothing":
            await self.send()
        elif text_data == "full":
            await self.channel_layer.send("busy", {"type": "x"})
            await self.channel_layer.send("busy", {"type": "x"})


class Json(AsyncJsonWebsocketConsumer):
    pass


class SyncJson(WebsocketConsumer):
    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        raise KeyError("user")


class NoLayer(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        print(self.channel_name)


TEXT = "websocket.receive"


async def failure(consumer: Any, message: Message, *, served: bool = True) -> str:
    """The log record of a consumer that fails at ``message``, as behind a server."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    for one in ({"type": "websocket.connect"}, message, {"type": "websocket.disconnect", "code": 1006}):
        inbox.put_nowait(one)

    async def send(message: Message) -> None:
        pass

    scope = {"type": "websocket", "path": "/ws/", "headers": [], "asgi": {"version": "3.0"}}
    with recorded() as records:
        await asyncio.wait_for(consumer.as_asgi()(scope, inbox.get, send), 15)
    (line,) = records.messages()
    return line


@pytest.mark.parametrize(
    ("consumer", "message", "what", "cure"),
    [
        (Clumsy, {"text": "user"}, "KeyError: 'user'", "wrap the application in AuthMiddlewareStack"),
        (SyncJson, {"text": "x"}, "KeyError: 'user'", "wrap the application in AuthMiddlewareStack"),
        (Clumsy, {"text": "session"}, "KeyError: 'session'", "SessionMiddlewareStack (compat.sessions)"),
        (Clumsy, {"text": "parameter"}, "scope has no 'url_route'", "Put the consumer into one"),
        (Clumsy, {"text": "nothing"}, "You must pass one of bytes_data or text_data", "send(text_data='')"),
        (Clumsy, {"text": "full"}, "ChannelFull: busy", "raise the capacity"),
        (Clumsy, {"bytes": b"x"}, "sent a binary frame", "receive(self, text_data=None, bytes_data=None)"),
        (Json, {"text": "{"}, "a frame that is not JSON", "override decode_json"),
        (Json, {"bytes": b"x"}, "No text section", "override receive()"),
    ],
)
async def test_what_a_bare_error_means(consumer: Any, message: dict[str, Any], what: str, cure: str) -> None:
    register_channel_layer("default", InMemoryChannelLayer(capacity=1))
    try:
        line = await failure(consumer, {"type": TEXT, **message})
    finally:
        unregister_channel_layer("default")
    assert line.startswith("compat.consumer ERROR") and what in line and cure in line


async def test_an_error_that_is_nobodys_guess_stays_as_it_is() -> None:
    line = await failure(Clumsy, {"type": TEXT, "text": "dict"})
    assert line.endswith("failed in websocket.receive: KeyError: 'other'")


async def test_a_message_without_a_handler_names_the_method_to_write() -> None:
    line = await failure(Chat, {"type": "chat.message"})
    assert "Write 'async def chat_message(self, event)' in Chat" in line


async def test_a_channel_without_a_layer() -> None:
    with override(CHANNEL_LAYERS={}):
        line = await failure(NoLayer, {"type": TEXT, "text": "x"})
    assert "A consumer has a channel only with a channel layer, and no layer 'default' is configured" in line


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes since Python 3.11")
async def test_in_a_test_the_sentence_is_a_note_of_the_exception() -> None:
    communicator = WebsocketCommunicator(Clumsy.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to("user")
    with pytest.raises(KeyError) as error:
        await communicator.receive_from(15)
    assert "AuthMiddlewareStack" in getattr(error.value, "__notes__")[0]  # noqa: B009


async def test_channel_full_is_what_channels_raises() -> None:
    layer = InMemoryChannelLayer(capacity=1)
    await layer.send("busy", {"type": "x"})
    with pytest.raises(ChannelFull, match="busy"):
        await layer.send("busy", {"type": "x"})
