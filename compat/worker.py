"""The worker: a process without sockets that handles the messages of named channels.

It behaves as ``channels.worker`` (Channels 4.3): each channel has one instance of the application, which
handles its messages in order. There are two differences: a message without a type is logged and dropped,
while upstream's worker ends with an error; and a message directly after the failure of a consumer is handled
by a new instance, while upstream loses it.

From a layer with ``take()`` (streams) the worker takes one message of a channel at a time. It acknowledges
the message when the consumer has handled it, and gives it back if the consumer fails.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from asgiref.compatibility import guarantee_single_callable
from asgiref.server import StatelessServer

from compat.types import ASGIApp, Message, Scope

__all__ = ["Worker"]

log = logging.getLogger("compat.worker")


class _Messages(asyncio.Queue[Message]):
    """The messages of one application instance.

    A message has been handled when a consumer of ours says so (``watched``). Of any other application it is
    known that it asks for the next message.
    """

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._is_told = False

    def put_nowait(self, item: Message) -> None:
        self._done.clear()
        super().put_nowait(item)

    async def get(self) -> Message:
        if self.empty() and not self._is_told:
            self._done.set()
        return await super().get()

    def watched(self, dispatch: Callable[[Message], Any]) -> Callable[[Message], Any]:
        """Return ``dispatch`` of a consumer, which now tells when a message has been handled."""
        self._is_told = True

        async def adispatch(message: Message) -> None:
            await dispatch(message)
            self._done.set()

        def in_thread(message: Message) -> None:
            dispatch(message)
            self._loop.call_soon_threadsafe(self._done.set)

        return adispatch if inspect.iscoroutinefunction(dispatch) else in_thread

    async def handled(self) -> None:
        """Wait until what was put last has been handled."""
        await self._done.wait()


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
        take = getattr(self.channel_layer, "take", None)
        while True:
            job = None if take is None else await take(channel)
            message = job.message if job is not None else await self.channel_layer.receive(channel)
            if not message.get("type"):
                log.error("worker: a message on channel %r has no 'type'; dropped: %r", channel, message)
                if job is not None:
                    job.acknowledge()
                continue
            await self._bury(channel)
            queue = self._queue_of(channel)
            queue.put_nowait(message)
            if job is not None:
                await self._handled(channel, queue, job)

    def _queue_of(self, channel: str) -> _Messages:
        """Return the messages for the application instance of ``channel``, which is made if needed."""
        details = self.application_instances.get(channel)
        if details is None:
            while len(self.application_instances) >= self.max_applications:
                self.delete_oldest_application_instance()  # type: ignore[no-untyped-call]
            queue = _Messages()
            scope = {"type": "channel", "channel": channel, "compat.watched": queue.watched}
            application = guarantee_single_callable(self.application)  # type: ignore[no-untyped-call]
            running = asyncio.ensure_future(
                application(scope, queue.get, lambda message: self.application_send(scope, message))
            )
            details = {"input_queue": queue, "future": running, "scope": scope}
            self.application_instances[channel] = details
        details["last_used"] = time.time()
        found: _Messages = details["input_queue"]
        return found

    async def _handled(self, channel: str, queue: _Messages, job: Any) -> None:
        """Wait until the consumer has handled a message, then acknowledge it, or give it back."""
        running: asyncio.Future[Any] = self.application_instances[channel]["future"]
        handled = asyncio.ensure_future(queue.handled())
        try:
            await asyncio.wait((handled, running), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            job.failed()
            raise
        finally:
            handled.cancel()
        if running.done() and (running.cancelled() or running.exception() is not None):
            job.failed()
        else:
            job.acknowledge()

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
