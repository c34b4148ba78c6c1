"""The worker: a process without sockets that handles the messages of named channels.

It behaves as ``channels.worker`` (Channels 4.3): each channel has one instance of the application, which
handles its messages in order. There are two differences: a message without a type is logged and dropped,
while upstream's worker ends with an error; and the messages behind the one at which a consumer has failed are
handled by a new instance, while upstream loses them.

From a layer with ``take()`` (streams) the worker takes one message of a channel at a time. It acknowledges
the message when the consumer has handled it, or middleware has dropped it, and gives it back if the consumer
fails.

A worker that is stopped lets the handlers that run finish, and puts back the messages that wait in it: at
their old places if the layer can (queue), else by sending them again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from asgiref.compatibility import guarantee_single_callable
from asgiref.server import StatelessServer

from compat.engine.shielding import is_a_handlers_own
from compat.layers.redis.waiters import Takeable
from compat.metrics import starting
from compat.settings import settings
from compat.types import ASGIApp, Message, Receive, Scope, Send
from compat.worker.progress import AHEAD, Progress
from compat.worker.stopping import begun_timer, exit_without_handlers, stopped_by_signals, unhandled

__all__ = ["AHEAD", "Worker"]

log = logging.getLogger("compat.worker")

FINISH_S = 5.0
"""Seconds, beside ``DRAIN_SECONDS``, that the handlers of a worker which is stopped may take to finish."""
CANCELLED_S = 5.0
"""Seconds after which a worker ends without those that do not end when they are cancelled."""

T = TypeVar("T")


def _watched(application: ASGIApp, progress_of: Mapping[str, Progress]) -> ASGIApp:
    """Return ``application``, whose progress with the messages of a channel ``progress_of`` it notes."""
    run: ASGIApp = guarantee_single_callable(application)  # type: ignore[no-untyped-call]

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        progress = progress_of.get(scope.get("channel", ""))  # None with a subclass's own listener()
        try:
            if progress is None:
                await run(scope, receive, send)
            else:
                await run({**scope, "compat.progress": progress}, progress.asked(receive), send)
        except asyncio.CancelledError as error:
            if is_a_handlers_own(error):  # which asgiref would raise in the worker itself
                raise RuntimeError("a task that the handler awaited was cancelled") from error
            raise

    return watched


class Worker(StatelessServer):
    """Runs ``application`` (usually a ``ChannelNameRouter``) for each of ``channels`` of ``channel_layer``.

    ``run()`` blocks until SIGTERM or SIGINT; ``await arun()`` is its form for a running event loop, until
    ``stop()``. At most ``max_applications`` instances are kept. Raises ValueError without a layer or channel.
    """

    def __init__(
        self, application: ASGIApp, channels: Iterable[str], channel_layer: Any, max_applications: int = 1000
    ) -> None:
        self._progress: dict[str, Progress] = {}
        watched = _watched(application, self._progress)
        super().__init__(watched, max_applications)  # type: ignore[no-untyped-call]  # asgiref's
        self.channels = list(channels)
        if not self.channels:
            raise ValueError(
                "Worker(…, channels=[]): expected the names of one or more channels, such as ['jobs']"
            )
        self.channel_layer = channel_layer
        if self.channel_layer is None:
            raise ValueError(
                "Channel layer is not valid: the worker's alias is not configured. Add it to CHANNEL_LAYERS, "
                "or choose another with --layer"
            )
        self._take = getattr(channel_layer, "take", None)
        self._taking = getattr(channel_layer, "taking", None)
        self._stop = asyncio.Event()
        self._free: set[asyncio.Task[Any]] = set()
        """The listeners that wait for a message, or for room for one, and may be cancelled."""
        self._recent: dict[str, deque[Takeable]] = {}
        """The last messages that were taken from a layer which can put them back."""
        self._left: dict[str, list[Message]] = {}
        """What waited for its consumer when the worker was stopped."""
        self._late: list[str] = []
        """The channels whose handlers did not finish in time."""
        self._last_resort: threading.Timer | None = None
        """Ends the process if they do not end when they are cancelled, or leave a thread that does not."""

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, and finish; a second signal ends the process at once."""
        try:
            asyncio.run(self._run(unhandled()))
        except KeyboardInterrupt:
            log.info("worker: ended by Ctrl-C")
        finally:
            if self._last_resort is not None:  # the process is its caller's again, until it ends
                self._last_resort.cancel()
                exit_without_handlers(CANCELLED_S)

    async def _run(self, signals: list[Any]) -> None:
        with stopped_by_signals(signals, self.stop):
            await self.arun()  # type: ignore[no-untyped-call]  # asgiref's
            await self._close()

    def stop(self) -> None:
        """Listen no more, let the handlers that run finish, and end; called on the worker's event loop."""
        self._stop.set()
        for progress in self._progress.values():
            progress.stop()
        for channel, details in self.application_instances.items():
            self._left.setdefault(channel, []).extend(self._unbegun(channel, details))
        for listener in tuple(self._free):
            listener.cancel()

    async def handle(self) -> None:
        """Listen on every channel until a listener fails, or ``stop()`` is called."""
        starting()
        listeners = [
            asyncio.ensure_future(self.listener(channel)) for channel in dict.fromkeys(self.channels)
        ]
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((stopped, *listeners), return_when=asyncio.FIRST_COMPLETED)
            for listener in listeners:
                if listener.done() and not (self._stop.is_set() and listener.cancelled()):
                    listener.result()
            await self._finish(listeners)
        finally:
            stopped.cancel()
            self.stop()
            for listener in listeners:
                listener.cancel()
            await asyncio.wait(listeners)
            await self._put_back()

    async def listener(self, channel: str) -> None:
        """Pass each message of ``channel`` to the application instance of the channel."""
        progress = self._progress[channel] = Progress()
        scope: Scope = {"type": "channel", "channel": channel}
        while not self._stop.is_set():
            job = None if self._take is None else await self._freely(self._take(channel))
            message = job.message if job is not None else await self._freely(self._received(channel))
            if not message.get("type"):
                log.error("worker: a message on channel %r has no 'type'; dropped: %r", channel, message)
                if job is not None:
                    job.acknowledge()
                continue
            await self._bury(channel)
            if self._stop.is_set():
                self._left.setdefault(channel, []).append(message)
                if job is not None:
                    job.put_back()
                return
            queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]
            if job is not None:
                progress.begin(message)
            queue.put_nowait(message)
            if job is not None:
                await self._handled(channel, progress, job)
                continue
            while queue.qsize() >= AHEAD:  # the layer's capacity bounds what waits beyond that
                running = self.application_instances[channel]["future"]
                moved = asyncio.wait((progress.moves(), running), return_when=asyncio.FIRST_COMPLETED)
                await self._freely(moved)
                await self._bury(channel)
                if self._stop.is_set():
                    return
                queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]

    async def _freely(self, waiting: Awaitable[T]) -> T:
        """Await what the worker does not have to wait for when it is stopped."""
        task = asyncio.current_task()
        assert task is not None
        self._free.add(task)
        try:
            return await waiting
        finally:
            self._free.discard(task)

    async def _received(self, channel: str) -> Message:
        """Return the next message of ``channel``, and remember how to put it back."""
        if self._taking is None or "!" in channel:
            message: Message = await self.channel_layer.receive(channel)
            return message
        taken: Takeable = await self._taking(channel)
        # as many as can wait for a consumer and in it, and those at which consumers have failed
        self._recent.setdefault(channel, deque(maxlen=3 * AHEAD)).append(taken)
        return taken.message

    async def _handled(self, channel: str, progress: Progress, job: Any) -> None:
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
        ended = running.done() and not running.cancelled() and running.exception() is None
        if progress.is_handled(ended=ended):
            job.acknowledge()
        elif self._stop.is_set() and (ended or not running.done()):
            job.put_back()
        else:  # its consumer has failed, or a message of a group has ended it
            job.failed()

    def _unbegun(self, channel: str, details: dict[str, Any]) -> list[Message]:
        """Take from an instance, once, the messages that it has not begun to handle."""
        queue: asyncio.Queue[Message] = details["input_queue"]
        progress = self._progress.get(channel)  # None with a subclass's own listener()
        left = [] if progress is None else progress.unbegun()
        while not queue.empty():
            left.append(queue.get_nowait())
        return left

    async def _bury(self, channel: str) -> None:
        """Remove an instance that has ended, and give a new one the messages that it has not begun to handle.

        If it was given such messages and has not begun the first of them, it has failed at that one.
        """
        details = self.application_instances.get(channel)
        if details is None or not details["future"].done() or self._stop.is_set():
            return
        del self.application_instances[channel]
        if not details["future"].cancelled() and (error := details["future"].exception()):
            await self.application_exception(error, details)
        left = self._unbegun(channel, details)
        if self._stop.is_set():  # meanwhile
            self._left.setdefault(channel, []).extend(left)
            return
        if left and details.get("inherited") is left[0]:
            log.error("worker: a message on channel %r ends each consumer; dropped: %r", channel, left.pop(0))
        if left and self._take is None:  # a job is given back to the layer
            fresh = self.get_or_create_application_instance(channel, details["scope"])  # type: ignore[no-untyped-call]
            self.application_instances[channel]["inherited"] = left[0]
            for message in left:
                fresh.put_nowait(message)

    async def _finish(self, listeners: Iterable[asyncio.Future[None]]) -> None:
        """Put back what waits, and wait for the handlers that run; ``stop()`` has been called."""
        await self._put_back()
        running = {asyncio.ensure_future(self._quiet(channel)): channel for channel in self._progress}
        within_s = settings.seconds("DRAIN_SECONDS") + FINISH_S
        _, late = await asyncio.wait((*listeners, *running), timeout=within_s)
        self._late = [channel for task, channel in running.items() if task in late]
        if self._late:
            names = ", ".join(map(repr, self._late))
            log.error(
                "worker: stopping without the handlers of %s, which run for %g s still", names, within_s
            )
        for task in running:
            task.cancel()
        for details in self.application_instances.values():
            future: asyncio.Future[Any] = details["future"]
            if future.done() and not future.cancelled() and (error := future.exception()):
                await self.application_exception(error, details)

    async def _quiet(self, channel: str) -> None:
        """Wait until no handler of ``channel`` runs."""
        details = self.application_instances.get(channel)
        if details is None:
            return
        stopped = asyncio.ensure_future(self._progress[channel].stopped())
        try:
            await asyncio.wait((stopped, details["future"]), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()

    async def _put_back(self) -> None:
        """Give the messages that no handler has begun back to the layer; ``_handled`` does so with jobs."""
        for channel in tuple(self._left):
            left = self._left.pop(channel)
            if self._take is not None or not left:
                continue
            recent = {id(taken.message): taken for taken in self._recent.get(channel, ())}
            for message in left:
                taken = recent.get(id(message))
                if taken is not None:
                    taken.put_back()
                    continue
                try:
                    await self.channel_layer.send(channel, message)
                except Exception as error:  # noqa: BLE001 - a full channel, or Redis is away
                    log.error("worker: lost a message of channel %r, at its end: %r", channel, error)
            log.info("worker: gave %d messages of channel %r back to the layer", len(left), channel)

    async def _close(self) -> None:
        """End the instances and the connections, and make sure that the process ends."""
        if self._late:  # a handler may block one of the threads for which the interpreter waits
            self._last_resort = begun_timer(CANCELLED_S, partial(os._exit, 1))
        instances = [details["future"] for details in self.application_instances.values()]
        for instance in instances:
            instance.cancel()
        await asyncio.gather(*instances, return_exceptions=True)
        if hasattr(self.channel_layer, "close_pools"):
            await self.channel_layer.close_pools()

    async def application_checker(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # it ends
        """Remove the instances that have ended, ten times a second, until the worker is stopped."""
        while not self._stop.is_set():
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
