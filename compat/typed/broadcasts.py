"""Broadcasts: messages to the clients in groups, encoded once by the sender and relayed by each member."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

from pydantic_core import from_json

from compat.redis.waiting import done
from compat.typed.conversation import Conversation, ReceiveEvent
from compat.typed.events import (
    FRAME,
    LEFT_OUT,
    SENDER,
    GroupMessageEvent,
    broadcast,
    groups_of,
    intercepted,
)
from compat.typed.forms import Forms
from compat.typed.messages import BaseMessage, GroupCompleteMessage
from compat.typed.wire import text_of
from compat.types import Message

if TYPE_CHECKING:
    from compat.typed.topics import Topic

__all__ = ["GroupMember"]


class GroupMember(Conversation[ReceiveEvent], Generic[ReceiveEvent]):
    """The part of a consumer that sends to groups, and relays to its client what they are sent."""

    groups: Any
    _compat_silent_groups: frozenset[str] = frozenset()
    """Groups that ``broadcast_message()`` leaves out by default: the user's (``user_groups``)."""
    _compat_relays: bool = False
    """A broadcast in this client's form is sent to it without further steps."""
    _compat_own_form: str = SENDER[False]
    """The key of the sender in broadcasts of this client's form."""

    if TYPE_CHECKING:
        base_send: Any
        channel_name: str
        subscriptions: dict[str, Topic[Any]]

    async def broadcast_message(
        self,
        message: BaseMessage | Mapping[str, Any],
        groups: Sequence[str] | None = None,
        *,
        exclude_current: bool = False,
    ) -> None:
        """Send ``message`` to the clients in ``groups`` (default: the groups of this connection).

        The message is encoded once, and each member of the same form (``camelize``) sends the same text. With
        ``exclude_current`` this client does not receive it.
        """
        if groups is None:
            to = [group for group in self.groups if group not in self._compat_silent_groups]
        else:
            to = [groups] if isinstance(groups, str) else list(groups)
        if intercepted(type(self), "broadcast", message, tuple(to), groups):
            return
        wire = type(self).wire()
        if isinstance(message, BaseMessage):
            text = wire.encode(message)
        else:
            content = dict(message)
            text = text_of(self._compat_forms.on_wire(content) if wire.camelize else content)
        layer = groups_of(self)
        await broadcast(layer, to, text, wire.camelize, self.channel_name, exclude_current)

    def _compat_is_finished(self, message: Message) -> bool:
        """Return True for a broadcast in this client's form, which is sent to it without further steps."""
        return self._compat_relays and len(message) == 3 and message.get(self._compat_own_form) is not None

    def _compat_relay(self, message: Message) -> Coroutine[Any, Any, None]:
        """Send a broadcast, which is encoded, to the client.

        This is called once for each member of a group, so it returns the coroutine of another method if
        possible, and takes the sender out of ``message``, which is this member's copy.
        """
        if self._compat_is_finished(message):
            del message[self._compat_own_form]
            sending: Coroutine[Any, Any, None] = super().websocket_send(message)  # type: ignore[misc]
            return sending
        return self._compat_relay_with_care(message)

    websocket_send: Any = _compat_relay
    _compat_sends_on: Any = staticmethod(_compat_relay)

    async def _compat_relay_with_care(self, message: Message) -> None:
        if self._compat_begun is not None:
            await done(self._compat_begun)
        if message.get("exclude") == self.channel_name:
            return
        text = message.get("text")
        if not isinstance(text, str):  # a frame that somebody has sent to the group by themselves
            await self.base_send(message)
            return
        camelize = bool(self.camelize)
        other_form = SENDER[not camelize] in message
        if self._compat_sends_plainly:
            if other_form:
                content = from_json(text)
                forms = self._compat_forms_of(content)
                text = text_of(forms.on_wire(content) if camelize else forms.in_python(content))
            await self.base_send({"type": FRAME, "text": text})
            if self.log_websocket_message or self.send_message_immediately:
                await self._compat_sent(self._compat_action_in(text))
            if self.send_completion:
                await self.send_message(GroupCompleteMessage())
            return
        content = from_json(text)
        if camelize is not other_form:
            content = self._compat_forms_of(content).in_python(content)
        sender: str = message.get(SENDER[False]) or message.get(SENDER[True]) or ""
        await self.handle_group_message(
            {
                "message": content,
                "exclude_current": sender.endswith(LEFT_OUT),
                "from_channel": sender.removesuffix(LEFT_OUT),
            }
        )

    async def handle_group_message(self, event: GroupMessageEvent) -> None:
        """Handle a broadcast as JSON values, with Python's names of fields.

        This is called for broadcasts from Chanx, or if a subclass overrides a method that sees what is sent.
        ``from_channel`` is the sender's channel, and "" if it has none.
        """
        if self._compat_begun is not None:
            await done(self._compat_begun)
        if event.get("exclude_current") and event.get("from_channel") == self.channel_name:
            return
        await self.send_json(event.get("message"))
        if self.send_completion:
            await self.send_message(GroupCompleteMessage())

    def _compat_forms_of(self, content: Any) -> Forms:
        """Return the forms of ``content``: those of its topic, if it has one, else those of this consumer."""
        topic = content.get("topic") if isinstance(content, dict) else None
        subscription = self.subscriptions.get(topic) if isinstance(topic, str) else None
        return (subscription or self)._compat_forms

    def _compat_action_in(self, text: str) -> str:
        return str(from_json(text).get(self.discriminator_field))
