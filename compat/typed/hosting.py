"""The part of a consumer that serves topics: the subscriptions of a connection, and the routing of its
frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from compat.exceptions import ImproperlyConfigured
from compat.redis.waiting import settle
from compat.typed.conversation import is_failure
from compat.typed.envelope import current_ref, enclosed, stamp
from compat.typed.events import groups_of
from compat.typed.forms import Forms
from compat.typed.messages import BaseMessage, ErrorMessage, SubscribedMessage, UnsubscribedMessage
from compat.typed.topics import Topic, TopicErrorReason
from compat.typed.wire import Wire, text_of

if TYPE_CHECKING:
    from compat.typed.consumer import AsyncJsonWebsocketConsumer

__all__ = ["TopicHost"]

log = logging.getLogger("compat.typed")


class TopicHost:
    """Serves topics on a connection.

    ``topics``: the classes that a client may subscribe to. ``subscriptions``: the subscribed topics by name.
    ``default_topic``: subscribed to when the client connects, with the parameters of the route; it receives
    frames without a topic.
    """

    topics: ClassVar[Sequence[type[Topic[Any]]]] = ()
    default_topic: ClassVar[type[Topic[Any]] | None] = None
    max_subscriptions: ClassVar[int] = 100
    """The maximum number of topics of one connection."""

    subscriptions: dict[str, Topic[Any]]
    _compat_changing: dict[str, asyncio.Future[None]]
    """Done when the last frame to subscribe or unsubscribe has been handled, by the topic's name."""
    _compat_sees_topics: ClassVar[bool] = False
    """A subclass overrides ``send_topic_json``, which receives every JSON object that is sent for a topic."""

    if TYPE_CHECKING:
        url_params: Any
        discriminator_field: ClassVar[str]
        camelize: bool | None
        _compat_forms: ClassVar[Forms]

        def _compat_is_open(self) -> bool: ...

    async def topic_event(self, event: Mapping[str, Any]) -> None:
        """Pass an event to its topic; ignore it if the client has unsubscribed."""
        subscription = self.subscriptions.get(event["topic"])
        if subscription is not None:
            await subscription._take_event(event)

    async def handle_topic_event(self, event: Mapping[str, Any]) -> None:
        """Pass an event from a process that runs Chanx to its topic."""
        subscription = self.subscriptions.get(event["topic"])
        if subscription is not None:
            data = event["event_data"]
            action = str(data.get(subscription.discriminator_field))
            await subscription._take_event({"action": action, "text": text_of(data), "seq": event.get("seq")})

    async def send_topic_json(self, topic: str, content: Mapping[str, Any]) -> None:
        """Send JSON values for a topic, in the form of this client."""
        forms = (self.subscriptions.get(topic) or self._compat_topic_class(topic) or self)._compat_forms
        if self.camelize:
            content = forms.on_wire(content)
        text = text_of(enclosed(content, stamp(topic) or {}, forms.own_names(content)))
        await self.send(text_data=text)  # type: ignore[attr-defined]  # a host is a consumer

    async def send_topic_message(self, topic: str, message: BaseMessage) -> None:
        """Send ``message`` for a topic, even if the client has not subscribed to it."""
        await (self.subscriptions.get(topic) or self._compat_under(topic)).send_message(message)

    async def send_topic_error(self, topic: str, reason: TopicErrorReason, detail: str) -> None:
        """Answer a frame for a topic with an error: ``reason`` is for programs, ``detail`` for people."""
        payload = {"reason": TopicErrorReason(reason).value, "detail": detail}
        await self.send_topic_message(topic, ErrorMessage(payload=payload))

    def _compat_own_names(self, content: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the envelope that the message in a frame has for fields of its own."""
        spoken: Any = self.default_topic or self
        if self.topics and isinstance(topic := content.get("topic"), str):
            spoken = self._compat_topic_class(topic) or spoken
        return spoken._compat_messages.own_names_in(content)  # type: ignore[no-any-return]

    async def _compat_route_to_topic(self, name: str, content: dict[str, Any]) -> None:
        action = content.get(self._compat_tag_under(name))
        if action == "subscribe":
            async with self._compat_in_turn(name):
                await self._compat_subscribe(name)
        elif action == "unsubscribe":
            async with self._compat_in_turn(name):
                await self._compat_unsubscribe(name)
        elif name in self.subscriptions:
            await self.subscriptions[name].handle_json(content)
        else:
            detail = f"subscribe to {name!r} first"
            await self.send_topic_error(name, TopicErrorReason.NOT_SUBSCRIBED, detail)

    @contextlib.asynccontextmanager
    async def _compat_in_turn(self, name: str) -> AsyncIterator[None]:
        """Wait until earlier frames have changed this subscription: several handlers may run at once."""
        before = self._compat_changing.get(name)
        changed = self._compat_changing[name] = asyncio.get_running_loop().create_future()
        try:
            if before is not None:
                await asyncio.wait((before,))
            yield
        finally:
            settle(changed)
            if self._compat_changing.get(name) is changed:  # handlers may be cancelled in any order
                del self._compat_changing[name]

    async def _compat_ask_for_topic(self) -> None:
        """Answer a frame that names no topic, and for which this consumer has no handlers of its own."""
        detail = f"name a topic in each message; {self._compat_patterns()}"
        payload = {"reason": TopicErrorReason.NOT_SUBSCRIBED.value, "detail": detail}
        await self.send_message(ErrorMessage(payload=payload))  # type: ignore[attr-defined]  # as above

    def _compat_patterns(self) -> str:
        return f"the patterns are: {', '.join(repr(topic.pattern) for topic in self.topics) or 'none'}"

    async def _compat_subscribe(self, name: str) -> None:
        """Authorize the subscription, join the group of the topic, and confirm it."""
        if name in self.subscriptions:
            await self.send_topic_message(name, SubscribedMessage())
            return
        topic_class = self._compat_topic_class(name)
        if topic_class is None:
            detail = f"no topic {name!r}; {self._compat_patterns()}"
            await self.send_topic_error(name, TopicErrorReason.UNKNOWN_TOPIC, detail)
            return
        if len({*self.subscriptions, *self._compat_changing} - {name}) >= self.max_subscriptions:
            detail = f"the limit of {self.max_subscriptions} topics is reached; unsubscribe from one first"
            await self.send_topic_error(name, TopicErrorReason.TOO_MANY, detail)
            return
        subscription = topic_class(self, name)  # type: ignore[arg-type]  # a host is a consumer
        allowed = await self._compat_is_allowed(subscription)
        if allowed is None:
            return
        if not allowed:
            detail = f"not allowed to subscribe to {name!r}"
            await self.send_topic_error(name, TopicErrorReason.UNAUTHORIZED, detail)
            return
        await groups_of(self).group_add(topic_class.group_name(name), subscription.channel_name)
        self.subscriptions[name] = subscription
        await subscription.send_message(SubscribedMessage())
        token = current_ref.set(None)  # messages of on_subscribe() are not answers
        try:
            await subscription.on_subscribe()
        except Exception as error:
            if not is_failure(error):
                raise
            await subscription._compat_answer_failure("on_subscribe() failed", error)
        finally:
            current_ref.reset(token)

    async def _compat_is_allowed(self, subscription: Topic[Any]) -> bool | None:
        """Return the result of ``authorize()``; None if it has failed, which is answered."""
        try:
            return bool(await subscription.authorize(**subscription.params))
        except Exception as error:
            if not is_failure(error):
                raise
            await subscription._compat_answer_failure("authorize() failed", error)
            return None

    async def _compat_unsubscribe(self, name: str) -> None:
        subscription = self.subscriptions.get(name)
        if subscription is not None:
            await self._compat_leave_topic(name, subscription)
        await self.send_topic_message(name, UnsubscribedMessage())

    async def _compat_leave_topic(self, name: str, subscription: Topic[Any]) -> None:
        """Leave a topic, even if its hook fails."""
        try:
            await subscription.on_unsubscribe()
        except Exception as error:
            if not is_failure(error):
                raise
            log.exception("%s: on_unsubscribe() failed", subscription._compat_described())
        finally:
            self.subscriptions.pop(name, None)
            await groups_of(self).group_discard(
                type(subscription).group_name(name), subscription.channel_name
            )

    async def _compat_leave_topics(self) -> None:
        """Leave all topics; a failure is logged."""
        for name, subscription in tuple(self.subscriptions.items()):
            try:
                await self._compat_leave_topic(name, subscription)
            except Exception:
                log.exception("leaving %s failed", subscription._compat_described())

    def _compat_topic_class(self, name: str) -> type[Topic[Any]] | None:
        return next((topic for topic in self.topics if topic.parse(name) is not None), None)

    def _compat_tag_under(self, name: str) -> str:
        """Return the name of ``action`` in frames for a topic: that of the topic, else that of this
        consumer.
        """
        return (self._compat_topic_class(name) or self).discriminator_field

    def _compat_under(self, name: str) -> _Unserved:
        return _Unserved(self, name, self._compat_tag_under(name))  # type: ignore[arg-type]  # a host is a consumer

    def _compat_default_topic_name(self) -> str:
        topic = self.default_topic
        assert topic is not None
        missing = [name for name in topic.param_names if name not in self.url_params]
        if missing:
            raise ImproperlyConfigured(
                f"default_topic {topic.__qualname__} has the pattern {topic.pattern!r}, but the route has no "
                f"parameter {', '.join(missing)}; it has: {', '.join(self.url_params) or 'none'}"
            )
        return topic.pattern.format(**self.url_params)


class _Unserved(Topic[Any]):
    """An unknown topic, used only to answer under its name."""

    pattern = "{anything}"

    def __init__(self, consumer: AsyncJsonWebsocketConsumer[Any], topic: str, discriminator: str) -> None:
        super().__init__(consumer, topic)
        self._compat_wire = Wire(bool(consumer.camelize), discriminator)
