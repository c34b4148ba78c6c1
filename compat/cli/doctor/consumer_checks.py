"""Checks of the consumers: forgotten awaits, threads, and limits."""

from __future__ import annotations

from collections.abc import Iterator

from compat import integration
from compat.advice.unawaited_calls import unawaited_calls
from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.consumer import SyncConsumer
from compat.engine.refusal import listed
from compat.engine.threads import thread_limit
from compat.layers import DEFAULT_CHANNEL_LAYER, missing_layer
from compat.settings import settings

__all__ = ["CHECKS"]

CONNECTIONS_PER_THREAD = 50
"""At 10 ms for a handler, a message to this many members per thread takes half a second."""

SQLITE = (".sqlite3", ".spatialite")
"""How the engines of Django that use SQLite end."""


def await_forgotten(subject: Subject) -> Iterator[Finding]:
    """Report calls that create a coroutine without an await."""
    calls = (call for cls in subject.consumer_classes for call in unawaited_calls(cls))
    for call in dict.fromkeys(calls):
        text = f"{call.function} calls {call.target}() without await: the call does nothing"
        yield error(text, f"Write: {call.fix}", f"{call.file}:{call.line}")


def layer_alias_not_configured(subject: Subject) -> Iterator[Finding]:
    """Report consumers whose layer is not configured."""
    for path, cls in subject.consumers:
        alias = cls.channel_layer_alias
        if alias not in subject.layers and alias not in (None, DEFAULT_CHANNEL_LAYER):
            text = missing_layer(cls.__new__(cls))
            found, _, fix = text.partition(" Configured: ")
            if subject.registers_layers:
                yield note(
                    f"{found} The project may register it in its lifespan, which the doctor does not run",
                    "Register it where the application is imported, and the doctor examines it too.",
                    path,
                )
            else:
                yield error(f"{found} Every connection is refused", f"Configured: {fix}", path)


def _sync_consumers(subject: Subject) -> list[type[SyncConsumer]]:
    return [cls for cls in subject.consumer_classes if issubclass(cls, SyncConsumer)]


def one_thread_for_sync_consumers(subject: Subject) -> Iterator[Finding]:
    """Report sync consumers whose handlers all run on one thread."""
    sync = _sync_consumers(subject)
    if not sync:
        return
    names = listed(cls.__qualname__ for cls in sync)
    if thread_limit() == 0:
        yield warning(
            f"CHANNEL_THREADS is 0, so the handlers of all connections of {names} share one thread and wait "
            "for each other",
            "Remove the setting (the default is 24 threads), unless the code needs a single thread.",
        )
        return
    alone = [cls.__qualname__ for cls in sync if cls.thread_sensitive]
    if alone:
        yield warning(
            f"{listed(alone)} has thread_sensitive = True: the handlers of all its connections share one "
            "thread and wait for each other",
            "Remove the attribute, unless the code needs a single thread.",
        )


def sqlite_locked(subject: Subject) -> Iterator[Finding]:
    """Report a SQLite database of Django that handlers on several threads write to."""
    sync = [cls.__qualname__ for cls in _sync_consumers(subject) if not cls.thread_sensitive]
    if not sync or thread_limit() == 0 or integration.database() is None:
        return  # the subset of Django has DATABASES too, and opens none
    for alias, entry in (settings.get("DATABASES") or {}).items():
        mode = str((entry.get("OPTIONS") or {}).get("transaction_mode", "")).upper()
        if not str(entry.get("ENGINE", "")).endswith(SQLITE) or mode in ("IMMEDIATE", "EXCLUSIVE"):
            continue
        yield warning(
            f"database {alias!r} is SQLite, where one transaction writes at a time, and handlers of "
            f"{listed(sync)} run side by side: those that read and then write in transaction.atomic() fail "
            'with "database is locked" when several clients send at once',
            'Set "OPTIONS": {"transaction_mode": "IMMEDIATE"} (Django 5.1); or run them one after the other, '
            "as Channels does: thread_sensitive = True on the class, or CHANNEL_THREADS = 0.",
            f"DATABASES[{alias!r}]",
        )


def threads_for_members(subject: Subject) -> Iterator[Finding]:
    """Report too few threads for the members of a room: a message to it runs one handler for each."""
    threads, members = thread_limit(), subject.members
    sync = [cls.__qualname__ for cls in _sync_consumers(subject)]
    if not sync or not members or not threads or members <= threads * CONNECTIONS_PER_THREAD:
        return
    seconds = members * 0.01 / threads
    yield warning(
        f"a message to a room of {members} runs {members} handlers of {listed(sync)} on {threads} threads: "
        f"at 10 ms for each (for example a query), the last member gets the message after {seconds:.1f} s",
        "Write them as async consumers, raise CHANNEL_THREADS, or run more workers.",
    )


def no_limits(subject: Subject) -> Iterator[Finding]:
    """Report that no limit is set for the messages and connections of a client."""
    limits = ("MESSAGE_SIZE", "MESSAGES_PER_SECOND", "CONNECTIONS_PER_CLIENT")
    names = [f"CHANNEL_MAX_{limit}" for limit in limits]
    attributes = ("max_message_size", "max_messages_per_second")
    own = any(getattr(cls, name, None) for cls in subject.consumer_classes for name in attributes)
    if subject.consumers and not own and not any(settings.get(name) for name in names):
        yield note(
            "no limit is set for a client: size and rate of its messages, number of its connections",
            f"Set limits, for example {names[0]} = 65536, {names[1]} = 50, {names[2]} = 100.",
        )


def fewer_connections_than_members(subject: Subject) -> Iterator[Finding]:
    """Report a limit of connections that is below the expected members."""
    limit = settings.get("CHANNEL_MAX_CONNECTIONS")
    if subject.members and isinstance(limit, int) and limit * subject.workers < subject.members:
        yield error(
            f"CHANNEL_MAX_CONNECTIONS = {limit} in each of {subject.workers} processes is less than the "
            f"{subject.members} expected members: further connections are refused with 503",
            "Raise it, or run more workers.",
        )


CHECKS = (
    await_forgotten,
    layer_alias_not_configured,
    one_thread_for_sync_consumers,
    sqlite_locked,
    threads_for_members,
    no_limits,
    fewer_connections_than_members,
)
