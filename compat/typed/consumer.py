"""The typed consumer: its frames are messages, each handled by the method for its type.

A connection is accepted, authenticated and added to its groups; then ``post_authentication()`` runs, and
messages and events are handled in order, one at a time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic

from pydantic import ValidationError
from pydantic_core import from_json

from compat.advice.handlers import require_list
from compat.codes import INTERNAL_ERROR, NO_SUCH_TOPIC
from compat.engine.handshake import refuse_unless_decided
from compat.engine.reports import named
from compat.exceptions import AcceptConnection, DenyConnection
from compat.generic import websocket
from compat.generic.messages import own_groups
from compat.layers import get_channel_layer
from compat.redis.waiting import done, settle
from compat.typed.authenticator import BaseAuthenticator
from compat.typed.broadcasts import GroupMember
from compat.typed.conversation import ReceiveEvent
from compat.typed.decorators import ChannelInfo
from compat.typed.envelope import ENVELOPE_FIELDS, current_ref, enclosed, opened
from compat.typed.events import SENDER, EventTarget, groups_of
from compat.typed.handlers import listed
from compat.typed.hosting import TopicHost
from compat.typed.scope import path_params
from compat.typed.topics import Topic
from compat.typed.wire import not_json

__all__ = ["AsyncJsonWebsocketConsumer"]

SPELLED = re.compile(rf'"(?:{"|".join(ENVELOPE_FIELDS)})"|\\u')
"""In each text that may have a member of an envelope: an escape may spell one."""
# A subclass that overrides one of these methods receives JSON values instead of text.
SEEING_OUTPUT = ("send", "send_json", "encode_json", "handle_group_message")
SEEING_INPUT = ("receive_json", "decode_json", "handle_json")


class AsyncJsonWebsocketConsumer(
    EventTarget[ReceiveEvent],
    GroupMember[ReceiveEvent],
    TopicHost,
    websocket.AsyncJsonWebsocketConsumer,
    Generic[ReceiveEvent],
):
    """Base class of typed consumers; ``AsyncJsonWebsocketConsumer[Event]`` declares the type of its events.

    ``groups``: joined before ``post_authentication()`` and left at the end; each connection has its own list.
    ``user_groups``: joins the user's group as well, which no ``broadcast_message()`` reaches by default.
    ``channel_layer_alias``: the layer. ``authenticator_class``: called first. ``topics``: other conversations
    on the same connection. ``Conversation`` documents the other options.
    """

    authenticator_class: ClassVar[type[BaseAuthenticator] | None] = None
    authenticator: BaseAuthenticator | None = None

    _compat_channel_info: ClassVar[ChannelInfo] = ChannelInfo()
    """The arguments of ``@channel``; the name is not inherited."""
    compat_authenticates: ClassVar[bool] = True
    """See ``AUTHENTICATES``."""
    _compat_takes_text: ClassVar[bool] = True
    """Frames are validated as text; False if a subclass or a topic needs JSON values."""
    _compat_accepts_later: bool = False
    """``connect()`` has returned without a decision."""
    _compat_has_own_names: ClassVar[bool] = False
    """A message of the class, or of a topic, has a field that is named like one of the envelope."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        require_list(cls, "groups", vars(cls).get("groups"), "names")
        super().__init_subclass__(**kwargs)
        cls._compat_channel_info = replace(cls._compat_channel_info, name=None)
        base = AsyncJsonWebsocketConsumer
        cls._compat_sends_plainly = all(_same(cls, base, name) for name in SEEING_OUTPUT)
        cls._compat_sees_topics = not _same(cls, base, "send_topic_json")
        require_list(cls, "extra_groups", vars(cls).get("extra_groups"), "groups")
        for topic in listed(cls, "topics", cls.topics, "topic classes"):
            if not (isinstance(topic, type) and issubclass(topic, Topic)):
                raise TypeError(f"{cls.__qualname__}.topics must hold subclasses of Topic; found {topic!r}")
        if cls.authenticator_class is not None and not callable(cls.authenticator_class):
            raise TypeError(
                f"{cls.__qualname__}.authenticator_class must be a class; found {cls.authenticator_class!r}"
            )
        cls._compat_no_handlers = OWN_METHODS.union(
            cls._compat_messages.handlers, cls._compat_events.handlers
        )
        cls._compat_takes_text = not cls.topics and all(_same(cls, base, name) for name in SEEING_INPUT)
        if cls.topics:
            cls._compat_messages.refuse_own_topic(cls)
        cls._compat_has_own_names = any(one._compat_messages.own_names for one in (cls, *cls.topics))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = list(dict.fromkeys((*self.groups, *self.default_groups())))
        self.subscriptions, self._compat_changing = {}, {}
        if self.authenticator_class is not None:
            self.authenticator = self.authenticator_class(self.send_message)

    @staticmethod
    def get_channel_layer(alias: str) -> Any:
        """Return the layer ``alias``, or None."""
        return get_channel_layer(alias)

    @property
    def url_params(self) -> Mapping[str, Any]:
        """The arguments from the path."""
        return path_params(self.scope)

    # The life of a connection

    async def websocket_connect(self, message: Any) -> None:
        """Accept, authenticate, join ``groups``, and call ``post_authentication()``."""
        self._compat_settle_options()
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()
        refuse_unless_decided(self)
        if not self._compat_is_open():
            if self.authenticator is not None and not self._compat_socket.closed:
                raise TypeError(
                    f"{type(self).__qualname__}.connect() has neither accepted nor refused its client, and a "
                    "later accept() would skip authenticator_class: decide in connect()"
                )
            self._compat_accepts_later = not self._compat_socket.closed
            return
        if self.authenticator is not None and not await self.authenticator.authenticate(self.scope):
            await self.close(self.authenticator.close_code)
            return
        await self._compat_join_groups()
        await self._compat_begin()

    async def accept(self, *args: Any, **kwargs: Any) -> None:
        """Complete the handshake. If ``connect()`` has left that to later code, groups are joined then, and
        ``post_authentication()`` is called; messages, broadcasts and events wait for it.
        """
        if not self._compat_accepts_later:
            await super().accept(*args, **kwargs)
            return
        self._compat_begun = begun = asyncio.get_running_loop().create_future()
        try:
            self._compat_accepts_later = False
            await super().accept(*args, **kwargs)
            if self._compat_is_here():
                await self._compat_begin_late()
        finally:
            socket = self._compat_socket
            self._compat_accepts_later = not (socket.opened or socket.closed)  # if it has failed
            settle(begun)
            self._compat_begun = None

    async def _compat_begin_late(self) -> None:
        """Join the groups and begin; a client for whom this fails is closed, as in ``connect()``."""
        try:
            await self._compat_join_groups()
            if self._compat_is_here():
                await self._compat_begin()
        except BaseException:
            if self._compat_is_here():
                await self.close(INTERNAL_ERROR)
            raise
        finally:
            if not self._compat_is_here():  # it may have left its groups before it had joined them all
                for group in self.groups:
                    await groups_of(self).group_discard(group, self.channel_name)

    async def _compat_join_groups(self) -> None:
        declared = frozenset(self.groups)
        _, self.groups = own_groups(self)
        self._compat_silent_groups = frozenset(self.groups) - declared
        for group in tuple(self.groups):
            await groups_of(self).group_add(group, self.channel_name)

    async def _compat_begin(self) -> None:
        """Do what comes before the first message."""
        await self.post_authentication()
        if self.camelize:
            self._compat_own_form = SENDER[True]
        self._compat_relays = self._compat_sends_plainly and not (
            self.log_websocket_message or self.send_message_immediately or self.send_completion
        )
        if self.default_topic is not None and self._compat_is_open():
            name = self._compat_default_topic_name()
            await self._compat_subscribe(name)  # an error is answered
            if self.default_topic.parse(name) is None:
                await self.close(NO_SUCH_TOPIC)

    async def post_authentication(self) -> None:
        """Override to act after the authentication, when the groups are joined and no message has been
        read.
        """

    async def websocket_disconnect(self, message: Any) -> None:
        """Leave topics and groups, call ``disconnect(code)``, and end."""
        await self._compat_leave_topics()
        await super().websocket_disconnect(message)

    def _compat_is_open(self) -> bool:
        socket = self._compat_socket
        return socket.opened and not (socket.closed or socket.ended)

    def _compat_is_here(self) -> bool:
        return self._compat_is_open() and not self._compat_socket.client_left()

    async def join_group(self, group: str, last: int | None = None) -> None:
        """Join ``group``; leave it when the connection ends.

        ``last``: how many earlier broadcasts and events of the group are handled first, if it has a history.
        """
        layer = groups_of(self)
        await layer.group_add(group, self.channel_name, *(() if last is None else (last,)))
        if group not in self.groups:
            self.groups.append(group)

    async def leave_group(self, group: str) -> None:
        """Leave ``group``."""
        await groups_of(self).group_discard(group, self.channel_name)
        if group in self.groups:
            self.groups.remove(group)

    # Frames of the client

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Handle a frame. A frame that is not JSON is answered with an error."""
        if self._compat_begun is not None:
            await done(self._compat_begun)
        if self._compat_socket.closed:
            return  # the client has sent it before it received the close
        if text_data is None:
            await self.handle_validation_error(not_json("binary frames are not supported", None))
            return
        plainly = self._compat_takes_text and not self.camelize
        if plainly and not SPELLED.search(text_data):
            await self._compat_handle_text(text_data)
        else:
            try:
                content = await self.decode_json(text_data)
            except (ValueError, RecursionError) as error:
                await self.handle_validation_error(not_json(str(error), text_data))
            else:
                if plainly and not self._compat_has_envelope(content):
                    await self._compat_handle_text(text_data)  # the name is the message's, or in its payload
                else:
                    await self.receive_json(content, **kwargs)

    def _compat_has_envelope(self, content: Any) -> bool:
        found = ENVELOPE_FIELDS & content.keys() if isinstance(content, dict) else None
        if found and self._compat_has_own_names:
            found -= self._compat_own_names(content)
        return bool(found)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Return the JSON values of a text, parsed by the parser of the validation; raises ValueError."""
        return from_json(text_data)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Pass a decoded frame to its topic, or to the handlers of this consumer."""
        if not isinstance(content, dict):
            await self.handle_json(content, **kwargs)
            return
        try:
            own = self._compat_own_names(content) if self._compat_has_own_names else ()
            envelope, message = opened(content, own)
        except ValidationError as error:
            await self.handle_validation_error(error)
            return
        topic = envelope.topic
        if topic is None and self.default_topic is not None:
            topic = self._compat_default_topic_name()
        token = current_ref.set(envelope.ref)
        try:
            if topic is not None:
                await self._compat_route_to_topic(topic, message)
            else:
                await self.handle_json(message, **kwargs)
        finally:
            current_ref.reset(token)

    async def handle_json(self, content: Any, **kwargs: Any) -> None:
        """Validate the message ``content`` (JSON values) of a client, and call its handler."""
        if isinstance(content, dict) and self.topics and self._compat_messages.adapter is None:
            await self._compat_ask_for_topic()
        else:
            await super().handle_json(content, **kwargs)

    # To the client

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Send JSON values.

        Of an object whose ``action`` is that of a message class, the names of fields are translated
        (``camelize``). During the handling of a message with a ``ref``, the ref is added to an object,
        unless its message class has a field of this name.
        """
        if self.camelize:
            content = self._compat_forms_of(content).on_wire(content)
        envelope = self._compat_stamp()
        if envelope is not None and isinstance(content, dict):
            content = enclosed(content, envelope, self._compat_forms_of(content).own_names(content))
        await websocket.AsyncJsonWebsocketConsumer.send_json(self, content, close)

    async def _compat_send_text(self, text: str, action: str) -> None:
        await self.send(text_data=text)
        await self._compat_sent(action)

    def _compat_described(self) -> str:
        return named(self, getattr(self, "channel_name", ""))


FROM_CHANX = ("handle_channel_event", "handle_group_message", "handle_topic_event")
OPEN = ("websocket_", "compat_", "typed_event", "topic_event", *FROM_CHANX)
OWN_METHODS = frozenset(name for name in dir(AsyncJsonWebsocketConsumer) if not name.startswith(OPEN))
"""Methods that speak as the client or to it, which no message to a group may call by its type."""
AsyncJsonWebsocketConsumer._compat_no_handlers = OWN_METHODS


def _same(cls: type, base: type, name: str) -> bool:
    return getattr(getattr(cls, name), "__func__", getattr(cls, name)) is getattr(
        getattr(base, name), "__func__", getattr(base, name)
    )
