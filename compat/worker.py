"""The worker: a process without sockets that handles the messages of named channels.

It behaves as ``channels.worker`` (Channels 4.3): each channel has one instance of the application, which
handles its messages in order. There are two differences: a message without a type is logged and dropped,
while upstream's worker ends with an error; and a message directly after the failure of a consumer is handled
by a new instance, while upstream loses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from asgiref.server import StatelessServer

from compat.types import ASGIApp, Message, Scope

__all__ = ["Worker"]

log = logging.getLogger("compat.worker")


class Worker(StatelessServer):
    """Runs ``application`` (usually a ``ChannelNameRouter``) for each of ``channels`` of ``channel_layer``.

    ``run()`` blocks until it is interrupted; ``await arun()`` is its form for a running event loop. At most
    ``max_applications`` instances are kept. Raises ValueError without a layer.
    """

    def __init__(
        self, application: ASGIApp, channels: Iterable[str], channel_layer: Any, max_applications: int = 1000
    ) -> None:
        super().__init__(application, max_applications)  # type: ignore[no-untyped-call]  # asgiref's
        self.channels = list(channels)
        self.channel_layer = channel_layer
        if self.channel_layer is None:
            raise ValueError(
                "Channel layer is not valid: the worker's alias is not configured. Add it to CHANNEL_LAYERS, "
                "or choose another with --layer"
            )

    async def handle(self) -> None:
        """Listen on every channel until a listener fails."""
        listeners = [asyncio.ensure_future(self.listener(channel)) for channel in self.channels]
        try:
            await asyncio.gather(*listeners)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.wait(listeners)

    async def listener(self, channel: str) -> None:
        """Pass each message of ``channel`` to the application instance of the channel."""
        scope = {"type": "channel", "channel": channel}
        while True:
            message = await self.channel_layer.receive(channel)
            if not message.get("type"):
                log.error("worker: a message on channel %r has no 'type'; dropped: %r", channel, message)
                continue
            await self._bury(channel)
            queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]
            queue.put_nowait(message)

    async def _bury(self, channel: str) -> None:
        """Remove an instance that has ended; asgiref checks ten times a second, and messages in between would
        be lost.
        """
        details = self.application_instances.get(channel)
        if details is None or not details["future"].done():
            return
        del self.application_instances[channel]
        if not details["future"].cancelled() and (error := details["future"].exception()):
            await self.application_exception(error, details)

    async def application_send(self, scope: Scope, message: Message) -> None:
        """Raise NotImplementedError: a worker has no client."""
        raise NotImplementedError(
            f"A consumer on channel {scope.get('channel')!r} runs in a worker, which has no client: "
            "use channel_layer.send() or group_send() instead of self.send()"
        )

    async def application_exception(
        self, exception: BaseException, application_details: dict[str, Any]
    ) -> None:
        """Log one record for a failed instance; the next message of the channel creates a new one."""
        channel = application_details["scope"].get("channel")
        log.error("worker: the consumer of channel %r failed: %r", channel, exception, exc_info=exception)
