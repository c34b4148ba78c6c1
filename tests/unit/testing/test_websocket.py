"""One websocket connection, with hand-written applications and with consumers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator as OfASGI

from compat.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.testing import WebsocketCommunicator
from compat.types import Message, Receive, Scope, Send


def answering(*messages: Message) -> Any:
    """Waits for the handshake, sends the messages, and ends with the client's disconnect."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "websocket.connect"}
        for message in messages:
            await send(message)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return app


ACCEPT: Message = {"type": "websocket.accept"}


async def connected(*messages: Message) -> WebsocketCommunicator:
    communicator = WebsocketCommunicator(answering(ACCEPT, *messages), "/")
    assert await communicator.connect() == (True, None)
    return communicator


# The scope


@pytest.mark.parametrize(
    ("path", "parsed", "query"),
    [
        ("/ws/chat/", "/ws/chat/", b""),
        ("/ws/caf%C3%A9/?token=a%20b", "/ws/café/", b"token=a%20b"),
        ("wss://user:pass@example.com:8080/p/a/t/h?query=string#hash", "/p/a/t/h", b"query=string"),
        (
            "user:pass@example.com:8080/p/a/t/h?query=string#hash",
            "pass@example.com:8080/p/a/t/h",
            b"query=string",
        ),
    ],
)
def test_the_path_may_be_a_url(path: str, parsed: str, query: bytes) -> None:
    scope = WebsocketCommunicator(answering(), path).scope
    assert (scope["path"], scope["query_string"]) == (parsed, query)


def test_the_scope_has_what_a_client_decides_and_nothing_of_a_server() -> None:
    headers = [(b"origin", b"http://example.org")]
    communicator = WebsocketCommunicator(answering(), "/", headers, ["chat"], spec_version="2.3")
    assert communicator.scope == {
        "type": "websocket",
        "path": "/",
        "query_string": b"",
        "headers": headers,
        "subprotocols": ["chat"],
        "spec_version": "2.3",
    }
    plain = WebsocketCommunicator(answering(), "/").scope
    assert (plain["headers"], plain["subprotocols"], "spec_version" in plain) == ([], [], False)


def test_the_path_must_be_text() -> None:
    path: Any = b"/ws/"
    with pytest.raises(TypeError, match="Expected str, got <class 'bytes'>"):
        WebsocketCommunicator(answering(), path)


# The handshake


async def test_accepted_with_subprotocol_and_headers() -> None:
    accept = {**ACCEPT, "subprotocol": "chat", "headers": [(b"x", b"y")]}
    communicator = WebsocketCommunicator(answering(accept), "/")
    assert communicator.response_headers is None
    assert await communicator.connect() == (True, "chat")
    assert communicator.response_headers == [(b"x", b"y")]
    await communicator.disconnect()


@pytest.mark.parametrize(("close", "code"), [({}, 1000), ({"code": 4001}, 4001)])
async def test_refused(close: Message, code: int) -> None:
    communicator = WebsocketCommunicator(answering({"type": "websocket.close", **close}), "/")
    assert await communicator.connect() == (False, code)
    await communicator.disconnect()


async def test_an_answer_that_is_neither() -> None:
    communicator = WebsocketCommunicator(answering({"type": "websocket.send", "text": "?"}), "/")
    with pytest.raises(AssertionError, match=r"Expected type 'websocket\.accept', but was 'websocket\.send'"):
        await communicator.connect()
    communicator.stop()


@pytest.mark.parametrize("answer", ["websocket.close", "websocket.send"])
async def test_a_block_that_does_not_begin_leaves_no_application_behind(answer: str) -> None:
    communicator = WebsocketCommunicator(answering({"type": answer}), "/")
    with pytest.raises(AssertionError, match=r"refused with 1000|was 'websocket\.send'"):
        async with communicator:
            pytest.fail("it has begun")
    await asyncio.wait((communicator.future,), timeout=10)
    assert communicator.future.cancelled()


# Frames


async def test_frames_of_both_kinds_and_json() -> None:
    communicator = await connected(
        {"type": "websocket.send", "text": "hello"},
        {"type": "websocket.send", "bytes": b"\0\1"},
        {"type": "websocket.send", "text": '{"a": [1]}'},
        {"type": "websocket.send", "text": ""},
    )
    assert await communicator.receive_from() == "hello"
    assert await communicator.receive_from() == b"\0\1"
    assert await communicator.receive_json_from() == {"a": [1]}
    assert await communicator.receive_from() == ""
    await communicator.disconnect()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "websocket.close"}, "Expected type 'websocket.send', but was 'websocket.close'"),
        ({"type": "websocket.send"}, "The response needs exactly one of 'text' or 'bytes'"),
        ({"type": "websocket.send", "text": "a", "bytes": b"a"}, "needs exactly one of 'text' or 'bytes'"),
        ({"type": "websocket.send", "text": b"a"}, "Text frame payload is not str, it is <class 'bytes'>"),
        ({"type": "websocket.send", "bytes": "a"}, "Binary frame payload is not bytes, it is <class 'str'>"),
        ({"type": "websocket.send", "bytes": b"{}"}, "JSON data is not a text frame, it is <class 'bytes'>"),
    ],
)
async def test_what_is_not_the_frame_that_was_asked_for(message: Message, text: str) -> None:
    communicator = await connected(message)
    with pytest.raises(AssertionError) as caught:
        await communicator.receive_json_from()
    assert text in str(caught.value)
    await communicator.disconnect()


@pytest.mark.parametrize(
    "frame",
    [{}, {"text_data": ""}, {"text_data": "a", "bytes_data": b"a"}, {"text_data": b"a"}, {"bytes_data": "a"}],
)
async def test_a_frame_that_cannot_be_sent(frame: dict[str, Any]) -> None:
    communicator = await connected()
    with pytest.raises(AssertionError, match=r"exactly one of text_data or bytes_data|must be"):
        await communicator.send_to(**frame)
    await communicator.disconnect()


# The end


async def test_disconnect_waits_for_the_application_and_raises_its_error() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert await receive() == {"type": "websocket.disconnect", "code": 4002}
        raise LookupError("in disconnect")

    communicator = WebsocketCommunicator(fails, "/")
    await communicator.connect()
    with pytest.raises(LookupError, match="in disconnect"):
        await communicator.disconnect(code=4002)


async def test_after_a_timeout_the_application_is_over() -> None:
    communicator = await connected()
    with pytest.raises(asyncio.TimeoutError):
        await communicator.receive_from(timeout=0.01)
    with pytest.raises(asyncio.CancelledError):
        await communicator.disconnect()


# Consumers


class Shouting(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "fail":
            raise LookupError("in receive_json")
        await self.send_json({"shout": content.upper()})


class Room(WebsocketConsumer):
    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        async_to_sync(self.channel_layer.group_send)("room", {"type": "said", "text": text_data})

    def said(self, event: Message) -> None:
        self.send(text_data=event["text"])


async def test_an_async_consumer() -> None:
    communicator = WebsocketCommunicator(Shouting.as_asgi(), "/")
    assert await communicator.connect() == (True, None)
    await communicator.send_json_to("hello")
    assert await communicator.receive_json_from() == {"shout": "HELLO"}
    await communicator.disconnect()


@pytest.mark.parametrize("headers", ["/ws/chat/", {b"origin": b"http://a.com"}, [b"cookie: a=b"]])
async def test_headers_that_a_consumer_does_not_read_may_be_anything(headers: Any) -> None:
    """Many test suites write the method first, as for a request: the path is "GET", the headers a text."""
    communicator = WebsocketCommunicator(Shouting.as_asgi(), "GET", headers)
    assert await communicator.connect() == (True, None)
    assert communicator.scope["headers"] == headers
    await communicator.disconnect()


async def test_an_error_in_a_consumer_surfaces_as_itself() -> None:
    communicator = WebsocketCommunicator(Shouting.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_json_to("fail")
    with pytest.raises(LookupError, match="in receive_json"):
        await communicator.receive_json_from(timeout=None)


async def test_two_clients_of_a_sync_consumer(layer: InMemoryChannelLayer) -> None:
    eva, max_ = (WebsocketCommunicator(Room.as_asgi(), "/") for _ in range(2))
    await eva.connect()
    await max_.connect()
    await eva.send_to(text_data="hello")
    assert await eva.receive_from() == await max_.receive_from() == "hello"
    await eva.disconnect()
    await max_.send_to(text_data="anybody?")
    assert await max_.receive_from() == "anybody?"
    await max_.disconnect()
    assert layer.groups == {}


async def test_a_block_may_expect_that_nothing_comes() -> None:
    """Was: its end raised a CancelledError, because the time limit had ended the application."""
    async with WebsocketCommunicator(answering(ACCEPT), "/") as client:
        with pytest.raises(asyncio.TimeoutError):
            await client.receive_from(timeout=0.01)


async def test_a_subclass_may_call_the_constructor_of_asgirefs_class() -> None:
    class OfAScope(WebsocketCommunicator):
        def __init__(self, application: Any, scope: Scope) -> None:
            OfASGI.__init__(self, application, scope)  # type: ignore[no-untyped-call]  # asgiref's

    communicator = OfAScope(Shouting.as_asgi(), {"type": "websocket", "path": "/", "headers": []})
    assert await communicator.connect() == (True, None)
    await communicator.send_json_to("hello")
    assert await communicator.receive_json_from() == {"shout": "HELLO"}
    await communicator.disconnect()
