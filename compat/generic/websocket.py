"""Websocket consumers: ``connect``, ``receive``, ``disconnect``, in four flavours.

They behave as those of ``channels.generic.websocket`` (Channels 4.3), but a ``connect()`` that neither
accepts nor closes is refused, and ``self.groups`` is each connection's own.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import async_to_sync

from compat.advice.handlers import check_made
from compat.consumer import AsyncConsumer, SyncConsumer
from compat.engine.connection import STOP
from compat.engine.fast.framing import text_alone, write_now
from compat.engine.handshake import refuse_unless_decided
from compat.exceptions import AcceptConnection, DenyConnection, InvalidChannelLayerError, StopConsumer
from compat.generic.messages import (
    Headers,
    accept_message,
    close_message,
    code_at_end,
    frame_message,
    layer_for_groups,
    own_copy,
    own_groups,
    text_of,
)
from compat.generic.short_cut import ShortCut
from compat.resume.consumers import AsyncDelivery, Delivery
from compat.types import Message

__all__ = [
    "AcceptConnection",
    "AsyncConsumer",
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "DenyConnection",
    "InvalidChannelLayerError",
    "JsonWebsocketConsumer",
    "StopConsumer",
    "SyncConsumer",
    "WebsocketConsumer",
    "async_to_sync",
]


class WebsocketConsumer(Delivery, SyncConsumer):
    """A websocket consumer whose handlers are plain ``def`` and may block.

    ``groups`` on the class names groups that every connection joins before ``connect()`` and leaves before
    ``disconnect()``. Positional and keyword arguments of the constructor are accepted and ignored.
    """

    groups: Any = None
    user_groups: bool = False
    """Join the group by which ``compat.closing.close_user`` reaches the connections of ``scope["user"]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_made(self, args)
        self.__dict__["groups"] = own_copy(self.groups)  # it may be a property, as in own_groups()

    def websocket_connect(self, message: Message) -> None:
        """Join ``groups`` and call ``connect()``; refuse a connection that it leaves undecided."""
        self.__dict__["groups"], names = own_groups(self)
        for group in names:
            async_to_sync(layer_for_groups(self).group_add)(group, self.channel_name)
        try:
            self.connect()
        except AcceptConnection:
            self.accept()
        except DenyConnection:
            self.close()
        refuse_unless_decided(self)

    def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Complete the handshake; ``subprotocol`` is one of ``scope["subprotocols"]``, or None."""
        super().send(accept_message(subprotocol, headers))

    def websocket_receive(self, message: Message) -> None:
        """Call ``receive()`` with the one argument that came."""
        text = message.get("text")
        if text is not None:  # some servers send both keys, one of them None
            self.receive(text_data=text)
        else:
            self.receive(bytes_data=message["bytes"])

    def send(  # type: ignore[override]
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool | int = False
    ) -> None:
        """Send a text or a binary frame, and then close if ``close`` is True or a close code.

        Raises ValueError when there is neither; text is sent when there are both.
        """
        super().send(frame_message(text_data, bytes_data))
        if close:
            self.close(close)

    def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or before ``accept()`` refuse it (HTTP 403)."""
        super().send(close_message(code, reason))

    def websocket_send(self, message: Message) -> None:
        """Send on a frame that was sent to a group as such: ``{"type": "websocket.send", "text": text}``.

        The sender has encoded it, once for all members. (Channels has no handler for this type.)
        """
        super().send(message)

    def compat_heartbeat(self, message: Message) -> None:
        """It is time for a sign of life (``heartbeat``, or setting ``CHANNEL_HEARTBEAT``)."""
        if self._compat_socket.opened:
            self.send_heartbeat()

    def send_heartbeat(self) -> None:
        """Send ``{"type": "ping"}``, which a client may answer with anything to reset ``idle_timeout``."""
        self.send(text_data=json.dumps({"type": "ping"}))

    def compat_close(self, message: Message) -> None:
        """Close the connection: other code asks for it (``compat.closing``)."""
        self.close(message.get("code"), message.get("reason"))

    def websocket_disconnect(self, message: Any) -> None:
        """Leave ``groups``, call ``disconnect(code)``, and end."""
        try:
            self.__dict__["groups"], names = own_groups(self)
            for group in names:
                async_to_sync(layer_for_groups(self).group_discard)(group, self.channel_name)
        finally:
            self.disconnect(code_at_end(self, message))
        raise StopConsumer

    # The hooks, typed so that overrides may have any parameters.
    if TYPE_CHECKING:
        connect: Callable[..., None]
        receive: Callable[..., None]

        def disconnect(self, code: int, /) -> None: ...
    else:

        def connect(self):
            """Accept the connection; override it to decide, and call ``accept()`` or ``close()``."""
            self.accept()

        def receive(self, text_data=None, bytes_data=None):
            """Called with each frame: its ``text_data`` or its ``bytes_data``; only one of them is passed."""

        def disconnect(self, code):
            """Called once when the connection has ended, for any reason; ``code`` is the close code."""


class JsonWebsocketConsumer(WebsocketConsumer):
    """A ``WebsocketConsumer`` whose frames are JSON texts."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Decode the text and call ``receive_json()``; raises ValueError for a frame without text."""
        self.receive_json(self.decode_json(text_of(text_data)), **kwargs)

    if TYPE_CHECKING:
        receive_json: Callable[..., None]
    else:

        def receive_json(self, content, **kwargs):
            """Called with the decoded content of each frame."""

    def send_json(self, content: Any, close: bool | int = False) -> None:
        """Encode ``content`` and send it as a text frame."""
        super().send(text_data=self.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        """Return the object that ``text_data`` encodes."""
        return json.loads(text_data)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Return ``content`` as JSON text."""
        return json.dumps(content)


class AsyncWebsocketConsumer(AsyncDelivery, ShortCut):
    """A websocket consumer whose handlers are ``async def``. See ``WebsocketConsumer`` for ``groups``."""

    groups: Any = None
    user_groups: bool = False
    """Join the group by which ``compat.closing.close_user`` reaches the connections of ``scope["user"]``."""

    _compat_short_cuts: ClassVar[dict[str, str]] = {"websocket_disconnect": "_compat_disconnected"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_made(self, args)
        self.__dict__["groups"] = own_copy(self.groups)  # it may be a property, as in own_groups()

    async def websocket_connect(self, message: Message) -> None:
        """Join ``groups`` and call ``connect()``; refuse a connection that it leaves undecided."""
        self.__dict__["groups"], names = own_groups(self)
        for group in names:
            await layer_for_groups(self).group_add(group, self.channel_name)
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()
        refuse_unless_decided(self)

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Complete the handshake; ``subprotocol`` is one of ``scope["subprotocols"]``, or None."""
        await super().send(accept_message(subprotocol, headers))

    async def websocket_receive(self, message: Message) -> None:
        """Call ``receive()`` with the one argument that came."""
        text = message.get("text")
        if text is not None:  # some servers send both keys, one of them None
            await self.receive(text_data=text)
        else:
            await self.receive(bytes_data=message["bytes"])

    async def send(  # type: ignore[override]
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool | int = False
    ) -> None:
        """Send a text or a binary frame, and then close if ``close`` is True or a close code.

        Raises ValueError when there is neither; text is sent when there are both.
        """
        socket = self._compat_socket
        if self.base_send is self._compat_own_send and not socket.closed:  # one coroutine less
            try:
                if not write_now(socket, text_data):
                    await socket.raw_send(frame_message(text_data, bytes_data))
            except Exception as error:  # noqa: BLE001 - any server, and any middleware
                socket.lost(error)
        else:
            await super().send(frame_message(text_data, bytes_data))
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection, or before ``accept()`` refuse it (HTTP 403)."""
        await super().send(close_message(code, reason))

    async def websocket_send(self, message: Message) -> None:
        """Send on a frame that was sent to a group as such; see ``WebsocketConsumer.websocket_send``."""
        socket = self._compat_socket
        if self.base_send is not self._compat_own_send or socket.closed:
            await super().send(message)
            return
        try:  # one coroutine less, as in send()
            if not write_now(socket, text_alone(message)):
                await socket.raw_send(message)
        except Exception as error:  # noqa: BLE001 - any server, and any middleware
            socket.lost(error)

    _compat_sends_on: Any = staticmethod(websocket_send)  # ours for a finished frame, which needs no task

    async def compat_heartbeat(self, message: Message) -> None:
        """It is time for a sign of life (``heartbeat``, or setting ``CHANNEL_HEARTBEAT``)."""
        if self._compat_socket.opened:
            await self.send_heartbeat()

    async def send_heartbeat(self) -> None:
        """Send ``{"type": "ping"}``, which a client may answer with anything to reset ``idle_timeout``."""
        await self.send(text_data=json.dumps({"type": "ping"}))

    async def compat_close(self, message: Message) -> None:
        """Close the connection: other code asks for it (``compat.closing``)."""
        await self.close(message.get("code"), message.get("reason"))

    async def websocket_disconnect(self, message: Any) -> None:
        """Leave ``groups``, call ``disconnect(code)``, and end."""
        await self._compat_leave(message)
        raise StopConsumer

    async def _compat_leave(self, message: Any) -> Any:
        try:
            if self.groups or self.user_groups is True:
                self.__dict__["groups"], names = own_groups(self)
                for group in names:
                    await layer_for_groups(self).group_discard(group, self.channel_name)
        finally:
            await self.disconnect(code_at_end(self, message))
        return STOP

    def _compat_disconnected(self, message: Any) -> Awaitable[Any]:
        """Call ``websocket_disconnect``; if it is not overridden, end without an exception."""
        handler = self.websocket_disconnect
        ours = getattr(handler, "__func__", None) is _shipped_disconnect
        return self._compat_leave(message) if ours else handler(message)

    # The hooks, typed so that overrides may have any parameters.
    if TYPE_CHECKING:
        connect: Callable[..., Awaitable[None]]
        receive: Callable[..., Awaitable[None]]

        async def disconnect(self, code: int, /) -> None: ...
    else:

        async def connect(self):
            """Accept the connection; override it to decide, and call ``accept()`` or ``close()``."""
            await self.accept()

        async def receive(self, text_data=None, bytes_data=None):
            """Called with each frame: its ``text_data`` or its ``bytes_data``; only one of them is passed."""

        async def disconnect(self, code):
            """Called once when the connection has ended, for any reason; ``code`` is the close code."""


_shipped_disconnect = AsyncWebsocketConsumer.websocket_disconnect


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer):
    """An ``AsyncWebsocketConsumer`` whose frames are JSON texts."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode the text and call ``receive_json()``; raises ValueError for a frame without text."""
        await self.receive_json(await self.decode_json(text_of(text_data)), **kwargs)

    if TYPE_CHECKING:
        receive_json: Callable[..., Awaitable[None]]
    else:

        async def receive_json(self, content, **kwargs):
            """Called with the decoded content of each frame."""

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Encode ``content`` and send it as a text frame."""
        await super().send(text_data=await self.encode_json(content), close=close)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Return the object that ``text_data`` encodes."""
        return json.loads(text_data)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Return ``content`` as JSON text."""
        return json.dumps(content)
