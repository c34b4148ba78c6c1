"""The worker: a process without sockets that handles the messages of named channels.

It behaves as ``channels.worker`` (Channels 4.3): each channel has one instance of the application, which
handles its messages in order. There are two differences: a message without a type is logged and dropped,
while upstream's worker ends with an error; and the messages behind the one at which a consumer has failed are
handled by a new instance, while upstream loses them.

From a layer with ``take()`` (streams) the worker takes one message of a channel at a time. It acknowledges
the message when the consumer has handled it, and gives it back if the consumer fails.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from asgiref.compatibility import guarantee_single_callable
from asgiref.server import StatelessServer

from compat.engine.mailbox import settle
from compat.engine.shielding import is_a_handlers_own
from compat.metrics import starting
from compat.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AHEAD", "Worker"]

log = logging.getLogger("compat.worker")

AHEAD = 10
"""How many messages of a channel may wait in the worker for its consumer."""


class _Progress:
    """Whether the message that an application instance has got last has been handled.

    A consumer of ours says so (``watched``). Of any other application it is known that it asks for the next
    message.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._is_told = False
        self._has_got = False
        self._handed: deque[Message] = deque(maxlen=AHEAD)
        """What the application has got, and its consumer has not begun to handle."""
        self._moves: asyncio.Future[None] = self._loop.create_future()

    def begin(self) -> None:
        """Note that there is a message to handle."""
        self._has_got = False
        self._done.clear()

    async def handled(self) -> None:
        """Wait until the message has been handled."""
        await self._done.wait()

    def moves(self) -> asyncio.Future[None]:
        """Return a future that is done when the application has got another message."""
        if self._moves.done():
            self._moves = self._loop.create_future()
        return self._moves

    def unbegun(self) -> list[Message]:
        """Return, once, what an instance that has failed has got and not begun to handle."""
        left = list(self._handed) if self._is_told else []
        self._handed.clear()
        return left

    def _begins(self, message: Message) -> None:
        if any(one is message for one in self._handed):  # otherwise it is a message of a group
            while self._handed.popleft() is not message:
                pass

    def watched(self, dispatch: Callable[[Message], Any]) -> Callable[[Message], Any]:
        """Return ``dispatch`` of a consumer, which now tells when a message is handled, and has been."""
        self._is_told = True

        async def adispatch(message: Message) -> None:
            self._begins(message)
            await dispatch(message)
            self._done.set()

        def in_thread(message: Message) -> None:
            self._loop.call_soon_threadsafe(self._begins, message)
            dispatch(message)
            self._loop.call_soon_threadsafe(self._done.set)

        return adispatch if inspect.iscoroutinefunction(dispatch) else in_thread

    def asked(self, receive: Receive) -> Receive:
        """Return ``receive`` of an application, which now tells when the next message is asked for."""

        async def ask() -> Message:
            if self._has_got and not self._is_told:
                self._done.set()
            message = await receive()
            self._has_got = True
            self._handed.append(message)
            settle(self._moves)
            return message

        return ask


def _watched(application: ASGIApp) -> ASGIApp:
    """Return ``application``, whose progress with each message the scope's ``_Progress`` notes."""
    run: ASGIApp = guarantee_single_callable(application)  # type: ignore[no-untyped-call]

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        progress: _Progress = scope["compat.progress"]
        try:
            await run(scope, progress.asked(receive), send)
        except asyncio.CancelledError as error:
            if is_a_handlers_own(error):  # which asgiref would raise in the worker itself
                raise RuntimeError("a task that the handler awaited was cancelled") from error
            raise

    return watched


class Worker(StatelessServer):
    """Runs ``application`` (usually a ``ChannelNameRouter``) for each of ``channels`` of ``channel_layer``.

    ``run()`` blocks until it is interrupted; ``await arun()`` is its form for a running event loop. At most
    ``max_applications`` instances are kept. Raises ValueError without a layer.
    """

    def __init__(
        self, application: ASGIApp, channels: Iterable[str], channel_layer: Any, max_applications: int = 1000
    ) -> None:
        super().__init__(_watched(application), max_applications)  # type: ignore[no-untyped-call]  # asgiref's
        self.channels = list(channels)
        self.channel_layer = channel_layer
        if self.channel_layer is None:
            raise ValueError(
                "Channel layer is not valid: the worker's alias is not configured. Add it to CHANNEL_LAYERS, "
                "or choose another with --layer"
            )
        self._take = getattr(channel_layer, "take", None)

    async def handle(self) -> None:
        """Listen on every channel until a listener fails."""
        starting()
        listeners = [asyncio.ensure_future(self.listener(channel)) for channel in self.channels]
        try:
            await asyncio.gather(*listeners)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.wait(listeners)

    async def listener(self, channel: str) -> None:
        """Pass each message of ``channel`` to the application instance of the channel."""
        progress = _Progress()
        scope: Scope = {"type": "channel", "channel": channel, "compat.progress": progress}
        while True:
            job = None if self._take is None else await self._take(channel)
            message = job.message if job is not None else await self.channel_layer.receive(channel)
            if not message.get("type"):
                log.error("worker: a message on channel %r has no 'type'; dropped: %r", channel, message)
                if job is not None:
                    job.acknowledge()
                continue
            await self._bury(channel)
            queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]
            progress.begin()
            queue.put_nowait(message)
            if job is not None:
                await self._handled(channel, progress, job)
                continue
            while queue.qsize() >= AHEAD:  # the layer's capacity bounds what waits beyond that
                running = self.application_instances[channel]["future"]
                await asyncio.wait((progress.moves(), running), return_when=asyncio.FIRST_COMPLETED)
                await self._bury(channel)
                queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]

    async def _handled(self, channel: str, progress: _Progress, job: Any) -> None:
        """Wait until the consumer has handled a message, then acknowledge it, or give it back."""
        running: asyncio.Future[Any] = self.application_instances[channel]["future"]
        handled = asyncio.ensure_future(progress.handled())
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
        """Remove an instance that has ended, and give a new one the messages that it has not begun to handle.

        If it has begun none since it got them, the first of them counts as the one at which it has failed.
        """
        details = self.application_instances.get(channel)
        if details is None or not details["future"].done():
            return
        del self.application_instances[channel]
        if not details["future"].cancelled() and (error := details["future"].exception()):
            await self.application_exception(error, details)
        queue: asyncio.Queue[Message] = details["input_queue"]
        progress: _Progress = details["scope"]["compat.progress"]
        left = progress.unbegun()
        while not queue.empty():
            left.append(queue.get_nowait())
        if left and details.get("inherited") == len(left):
            log.error("worker: a message on channel %r ends each consumer; dropped: %r", channel, left.pop(0))
        if left and self._take is None:  # a job is given back to the layer
            fresh = self.get_or_create_application_instance(channel, details["scope"])  # type: ignore[no-untyped-call]
            self.application_instances[channel]["inherited"] = len(left)
            for message in left:
                fresh.put_nowait(message)

    async def application_checker(self) -> NoReturn:
        """Remove the instances that have ended, ten times a second."""
        while True:
            await asyncio.sleep(self.application_checker_interval)
            for channel in tuple(self.application_instances):
                await self._bury(channel)

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
