"""The part of a consumer that serves topics: who has subscribed to what, and which one a frame is for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from compat.exceptions import ImproperlyConfigured
from compat.typed.conversation import CONTROL
from compat.typed.envelope import current_ref, stamp
from compat.typed.messages import BaseMessage, ErrorMessage, SubscribedMessage, UnsubscribedMessage
from compat.typed.topics import Topic, TopicErrorReason
from compat.typed.wire import Wire, text_of

if TYPE_CHECKING:
    from compat.typed.consumer import AsyncJsonWebsocketConsumer

__all__ = ["TopicHost"]

log = logging.getLogger("compat.typed")


class TopicHost:
    """``topics`` are the classes that a client may subscribe to, ``subscriptions`` what it has.

    ``default_topic`` is subscribed to when the client connects, its parameters taken from the route's; frames
    without a topic are for it.
    """

    topics: ClassVar[Sequence[type[Topic[Any]]]] = ()
    default_topic: ClassVar[type[Topic[Any]] | None] = None
    max_subscriptions: ClassVar[int] = 100
    """Topics that one connection may have at a time."""

    subscriptions: dict[str, Topic[Any]]
    _sees_topics: ClassVar[bool] = False
    """Whether a subclass wants to see every JSON object that is sent under a topic's name."""

    if TYPE_CHECKING:
        url_params: Any
        discriminator_field: ClassVar[str]

        async def join_group(self, group: str) -> None: ...
        async def leave_group(self, group: str) -> None: ...
        def _is_open(self) -> bool: ...

    async def topic_event(self, event: Mapping[str, Any]) -> None:
        """An event for a topic has come; one that was given up meanwhile is not for us."""
        subscription = self.subscriptions.get(event["topic"])
        if subscription is not None:
            await subscription._take_event(event)

    async def handle_topic_event(self, event: Mapping[str, Any]) -> None:
        """An event for a topic has come from a process that runs Chanx."""
        subscription = self.subscriptions.get(event["topic"])
        if subscription is not None:
            data = event["event_data"]
            action = str(data.get(subscription.discriminator_field))
            await subscription._take_event({"action": action, "text": text_of(data), "seq": event.get("seq")})

    async def send_topic_json(self, topic: str, content: Mapping[str, Any]) -> None:
        """Send JSON values under a topic's name, as they are."""
        text = text_of({**content, **(stamp(topic) or {})})
        await self.send(text_data=text)  # type: ignore[attr-defined]  # a host is a consumer

    async def send_topic_message(self, topic: str, message: BaseMessage) -> None:
        """Send ``message`` under a topic's name, whether the client has subscribed to it or not."""
        await (self.subscriptions.get(topic) or self._under(topic)).send_message(message)

    async def send_topic_error(self, topic: str, reason: TopicErrorReason, detail: str) -> None:
        """Say why a frame for a topic was not served: ``reason`` is for programs, ``detail`` for people."""
        payload = {"reason": TopicErrorReason(reason).value, "detail": detail}
        await self.send_topic_message(topic, ErrorMessage(payload=payload))

    async def _route_to_topic(self, name: str, content: dict[str, Any]) -> None:
        action = content.get(self._tag_under(name))
        if action == "subscribe":
            await self._subscribe(name)
        elif action == "unsubscribe":
            await self._unsubscribe(name)
        elif name in self.subscriptions:
            await self.subscriptions[name].handle_json(content)
        else:
            detail = f"subscribe to {name!r} first"
            await self.send_topic_error(name, TopicErrorReason.NOT_SUBSCRIBED, detail)

    async def _subscribe(self, name: str) -> None:
        """Find the topic, ask it, join its group, and only then say so."""
        if name in self.subscriptions:
            await self.send_topic_message(name, SubscribedMessage())
            return
        topic_class = self._topic_class(name)
        if topic_class is None:
            patterns = ", ".join(repr(topic.pattern) for topic in self.topics) or "none"
            detail = f"no topic {name!r}; the patterns here: {patterns}"
            await self.send_topic_error(name, TopicErrorReason.UNKNOWN_TOPIC, detail)
            return
        if len(self.subscriptions) >= self.max_subscriptions:
            detail = f"{self.max_subscriptions} topics are subscribed to already; unsubscribe from one first"
            await self.send_topic_error(name, TopicErrorReason.TOO_MANY, detail)
            return
        subscription = topic_class(self, name)  # type: ignore[arg-type]  # a host is a consumer
        allowed = await self._is_allowed(subscription)
        if allowed is None:
            return
        if not allowed:
            detail = f"not allowed to subscribe to {name!r}"
            await self.send_topic_error(name, TopicErrorReason.UNAUTHORIZED, detail)
            return
        await self.join_group(topic_class.group_name(name))
        self.subscriptions[name] = subscription
        await subscription.send_message(SubscribedMessage())
        token = current_ref.set(None)  # what comes now is news, and no answer
        try:
            await subscription.on_subscribe()
        except CONTROL:
            raise
        except Exception as error:  # noqa: BLE001 - the user's hook may raise anything
            await subscription._answer_failure("on_subscribe() failed", error)
        finally:
            current_ref.reset(token)

    async def _is_allowed(self, subscription: Topic[Any]) -> bool | None:
        """What ``authorize()`` says; None where it failed, which is answered."""
        try:
            return bool(await subscription.authorize(**subscription.params))
        except CONTROL:
            raise
        except Exception as error:  # noqa: BLE001 - the user's hook may raise anything
            await subscription._answer_failure("authorize() failed", error)
            return None

    async def _unsubscribe(self, name: str) -> None:
        subscription = self.subscriptions.get(name)
        if subscription is not None:
            await self._leave_topic(name, subscription)
        await self.send_topic_message(name, UnsubscribedMessage())

    async def _leave_topic(self, name: str, subscription: Topic[Any]) -> None:
        """Its hook may fail: it is left all the same."""
        try:
            await subscription.on_unsubscribe()
        except CONTROL:
            raise
        except Exception:
            log.exception("%s: on_unsubscribe() failed", subscription._described())
        finally:
            self.subscriptions.pop(name, None)
            await self.leave_group(type(subscription).group_name(name))

    async def _leave_topics(self) -> None:
        """At the end: one that fails keeps no other from being left."""
        for name, subscription in tuple(self.subscriptions.items()):
            try:
                await self._leave_topic(name, subscription)
            except Exception:
                log.exception("%s could not be left", subscription._described())

    def _topic_class(self, name: str) -> type[Topic[Any]] | None:
        return next((topic for topic in self.topics if topic.parse(name) is not None), None)

    def _tag_under(self, name: str) -> str:
        """What ``action`` is called in frames for a topic: as the topic has it, else as this consumer."""
        return (self._topic_class(name) or self).discriminator_field

    def _under(self, name: str) -> _Unserved:
        return _Unserved(self, name, self._tag_under(name))  # type: ignore[arg-type]  # a host is a consumer

    def _default_topic_name(self) -> str:
        topic = self.default_topic
        assert topic is not None
        missing = [name for name in topic.param_names if name not in self.url_params]
        if missing:
            raise ImproperlyConfigured(
                f"default_topic {topic.__qualname__} has the pattern {topic.pattern!r}, and the route gives "
                f"no {', '.join(missing)}; it gives: {', '.join(self.url_params) or 'nothing'}"
            )
        return topic.pattern.format(**self.url_params)


class _Unserved(Topic[Any]):
    """A topic's name that leads nowhere: only for answering under it."""

    pattern = "{anything}"

    def __init__(self, consumer: AsyncJsonWebsocketConsumer[Any], topic: str, discriminator: str) -> None:
        super().__init__(consumer, topic)
        self._typed_wire = Wire(bool(consumer.camelize), discriminator)
