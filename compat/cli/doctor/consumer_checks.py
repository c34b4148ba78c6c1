"""Checks of the consumers: what is forgotten in their source, their threads, their limits."""

from __future__ import annotations

from collections.abc import Iterator

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.consumer import SyncConsumer
from compat.dispatch import missing_layer
from compat.layers import DEFAULT_CHANNEL_LAYER
from compat.pool import thread_limit
from compat.refusal import listed
from compat.settings import settings
from compat.unawaited_calls import unawaited_calls

__all__ = ["CHECKS"]

CONNECTIONS_PER_THREAD = 50
"""At 10 ms for a handler, half a second until a message to all has reached the last of them."""


def await_forgotten(subject: Subject) -> Iterator[Finding]:
    """Calls in the source of consumers that make a coroutine which nobody awaits."""
    calls = (call for cls in subject.consumer_classes for call in unawaited_calls(cls))
    for call in dict.fromkeys(calls):
        text = f"{call.function} calls {call.target}() and does not await it: it does nothing"
        yield error(text, f"Write: {call.fix}", f"{call.file}:{call.line}")


def layer_alias_not_configured(subject: Subject) -> Iterator[Finding]:
    """A consumer whose layer does not exist: every connection to it is refused."""
    for path, cls in subject.consumers:
        alias = cls.channel_layer_alias
        if alias not in subject.layers and alias != DEFAULT_CHANNEL_LAYER:
            text = missing_layer(cls.__new__(cls))
            found, _, fix = text.partition(" Configured: ")
            yield error(f"{found} Every connection is refused", f"Configured: {fix}", path)


def one_thread_for_sync_consumers(subject: Subject) -> Iterator[Finding]:
    """Sync consumers that all wait for one another."""
    sync = [cls for cls in subject.consumer_classes if issubclass(cls, SyncConsumer)]
    if not sync:
        return
    names = listed(cls.__qualname__ for cls in sync)
    if thread_limit() == 0:
        yield warning(
            f"CHANNEL_THREADS is 0, so the handlers of all connections of {names} wait for one another",
            "Remove the setting (24 threads), unless the code needs Channels' one thread.",
        )
        return
    alone = [cls.__qualname__ for cls in sync if cls.thread_sensitive]
    if alone:
        yield warning(
            f"{listed(alone)} has thread_sensitive = True: the handlers of all its connections wait for one "
            "another",
            "Remove it where the code does not need to run on one thread.",
        )


def threads_for_members(subject: Subject) -> Iterator[Finding]:
    """A message to a room of sync consumers runs one handler for each member, on a few threads."""
    threads, members = thread_limit(), subject.members
    sync = [cls.__qualname__ for cls in subject.consumer_classes if issubclass(cls, SyncConsumer)]
    if not sync or not members or not threads or members <= threads * CONNECTIONS_PER_THREAD:
        return
    seconds = members * 0.01 / threads
    yield warning(
        f"a message to a room of {members} runs {members} handlers of {listed(sync)} on {threads} threads: "
        f"with 10 ms in each (a query, say), the last member has it after {seconds:.1f} s",
        "Write these as async consumers, raise CHANNEL_THREADS, or run more workers.",
    )


def no_limits(subject: Subject) -> Iterator[Finding]:
    """Nothing bounds what one client may do."""
    limits = ("MESSAGE_SIZE", "MESSAGES_PER_SECOND", "CONNECTIONS_PER_CLIENT")
    names = [f"CHANNEL_MAX_{limit}" for limit in limits]
    attributes = ("max_message_size", "max_messages_per_second")
    own = any(getattr(cls, name, None) for cls in subject.consumer_classes for name in attributes)
    if subject.consumers and not own and not any(settings.get(name) for name in names):
        yield note(
            "nothing limits what one client may do: size and rate of its messages, number of its sockets",
            f"For example {names[0]} = 65536, {names[1]} = 50, {names[2]} = 100.",
        )


def fewer_connections_than_members(subject: Subject) -> Iterator[Finding]:
    """A limit that refuses people who are expected."""
    limit = settings.get("CHANNEL_MAX_CONNECTIONS")
    if subject.members and isinstance(limit, int) and limit * subject.workers < subject.members:
        yield error(
            f"CHANNEL_MAX_CONNECTIONS = {limit} in each of {subject.workers} processes, and "
            f"{subject.members} people are expected: the others are refused with 503",
            "Raise it, or run more workers.",
        )


CHECKS = (
    await_forgotten,
    layer_alias_not_configured,
    one_thread_for_sync_consumers,
    threads_for_members,
    no_limits,
    fewer_connections_than_members,
)
