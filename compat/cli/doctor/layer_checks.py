"""Checks of the configuration of the channel layers; ``redis_checks`` asks their servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.cli.embedded import servers_of
from compat.engine.refusal import listed
from compat.layers import InMemoryChannelLayer

__all__ = ["CHECKS"]

SHORT_S, LONG_S = 1.0, 30.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
REDIS_BACKEND = '"BACKEND": "compat.layers.redis.core.RedisChannelLayer"'


def no_layers(subject: Subject) -> Iterator[Finding]:
    """Report consumers without a channel layer."""
    if subject.consumers and not subject.layers and not subject.problems and not subject.registers_layers:
        yield note(
            "no channel layer is configured: a consumer can only send messages to its own client",
            'CHANNEL_LAYERS = {"default": {' + REDIS_BACKEND + ', "CONFIG": {"hosts": ["redis://…"]}}}',
        )


def memory_layer_with_workers(subject: Subject) -> Iterator[Finding]:
    """Report layers in memory, which each process has for itself."""
    layers = subject.layers.items()
    aliases = [alias for alias, layer in layers if isinstance(layer, InMemoryChannelLayer)]
    if not aliases:
        return
    what = f"in memory: {listed(aliases)}"
    if subject.workers > 1:
        yield error(
            f"channel layers {what}, where each of {subject.workers} processes "
            f"({subject.workers_source}) has its own: messages do not reach members in another process",
            f"Use Redis ({REDIS_BACKEND}), or one worker. If the environment selects the layer (for example "
            "REDIS_URL), run the doctor with the environment of production.",
        )
    elif beside := next((command for command in subject.commands if command.serves_wsgi), None):
        yield warning(
            f"channel layers {what}. What the views send that gunicorn serves does not reach the consumers, "
            "which run in another process",
            f"Use Redis ({REDIS_BACKEND}), or serve the views with the consumers.",
            beside.source,
        )
    else:
        yield note(
            f"channel layers {what}. They work within one process only; a second worker, a second machine or "
            "a Celery task has no access to them",
            f"For several processes use Redis: {REDIS_BACKEND}.",
        )


def capacity_below_members(subject: Subject) -> Iterator[Finding]:
    """Report a capacity below the number of messages that the members of a full room can send at once."""
    if not subject.members:
        return
    small: dict[tuple[int, str], list[str]] = defaultdict(list)
    for alias, layer in subject.layers.items():
        capacity = getattr(layer, "capacity", None)
        if isinstance(capacity, int) and capacity < subject.members:
            small[(capacity, getattr(layer, "on_overflow", "drop"))].append(alias)
    for (capacity, policy), aliases in small.items():
        lost = {"close": "its connection is closed with 1013", "drop_oldest": "it loses the oldest messages"}
        yield warning(
            f"capacity {capacity} (channel layers: {listed(aliases)}) is less than the {subject.members} "
            "expected members of a room: if all send a message at once, each consumer has "
            f"{subject.members} messages waiting, and {lost.get(policy, 'it loses the newest messages')}",
            f'Set "CONFIG": {{"capacity": {_rounded(subject.members * 2)}}}; metrics and the log count '
            "dropped messages.",
        )


def _rounded(value: int) -> int:
    """Round up to a number with two significant digits."""
    unit: int = 10 ** max(0, len(str(value)) - 2)
    return -(-value // unit) * unit


def redis_py_drops_idle_sockets(subject: Subject) -> Iterator[Finding]:
    """Report channels_redis with redis-py 8, whose default read time-out of 5 s ends idle consumers."""
    theirs = [alias for alias, layer in subject.layers.items() if _is_channels_redis(layer)]
    if theirs and _major("redis") >= 8:
        yield error(
            f"layer {theirs[0]!r} is from channels_redis, and redis-py {version('redis')} ends every read "
            "after 5 s: a consumer without messages for 5 s is dropped",
            'Remove "UPSTREAM" from its entry, or pin redis<8.',
            f"CHANNEL_LAYERS[{theirs[0]!r}]",
        )


def _is_channels_redis(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "channels_redis"


def _major(package: str) -> int:
    try:
        return int(version(package).split(".")[0])
    except (PackageNotFoundError, ValueError):
        return 0


def timeouts_of_layers(subject: Subject) -> Iterator[Finding]:
    """Report time-outs that end connections under load, or detect a dead server late."""
    for alias, layer in subject.layers.items():
        for host in servers_of(layer):
            limits = {
                "socket_timeout": host.reply_timeout_s,
                "socket_connect_timeout": host.connect_timeout_s,
            }
            for name, seconds in limits.items():
                if seconds < SHORT_S:
                    yield warning(
                        f"layer {alias!r}: {name} = {seconds:g} s for {host.where}; a later reply of a busy "
                        "Redis ends the connection, and every call that waits for it fails",
                        f"Remove {name} (the default is 5 s), or set several seconds.",
                        f"CHANNEL_LAYERS[{alias!r}]",
                    )
                elif seconds > LONG_S:
                    yield note(
                        f"layer {alias!r}: {name} = {seconds:g} s for {host.where}; messages wait that long "
                        "for a Redis that does not answer",
                        f"Remove {name} (the default is 5 s).",
                        f"CHANNEL_LAYERS[{alias!r}]",
                    )


def redis_without_password(subject: Subject) -> Iterator[Finding]:
    """Report a Redis on the network that needs no password."""
    for alias, layer in subject.layers.items():
        for host in servers_of(layer):
            kwargs = _connection_options(host)
            name = str(kwargs.get("host", "localhost"))
            if (
                "path" in kwargs
                or name in LOOPBACK
                or kwargs.get("password")
                or kwargs.get("credential_provider")
            ):
                continue
            yield warning(
                f"layer {alias!r} connects to {host.where} without a password: every program that can reach "
                "this port can read all messages, and send messages to your consumers",
                "Use redis://:password@host:6379 (rediss:// with TLS), or symmetric_encryption_keys.",
                f"CHANNEL_LAYERS[{alias!r}]",
            )


def _connection_options(host: Any) -> dict[str, Any]:
    return dict(host.pool().connection_kwargs)


def layers_that_share_names(subject: Subject) -> Iterator[Finding]:
    """Report aliases with the same prefix and server: their groups and channels are the same."""
    places: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for alias, layer in subject.layers.items():
        where = tuple((host.where, _connection_options(host).get("db", 0)) for host in servers_of(layer))
        if where:
            places[(type(layer), getattr(layer, "prefix", ""), where)].append(alias)
    for (_, prefix, _), aliases in places.items():
        if len(aliases) > 1:
            yield warning(
                f"the layers {' and '.join(map(repr, aliases))} have the same prefix {prefix!r} on the same "
                "Redis: a group name refers to the same group in all of them",
                'Give each layer its own prefix: "CONFIG": {"prefix": "chat"}.',
            )


CHECKS = (
    no_layers,
    memory_layer_with_workers,
    capacity_below_members,
    redis_py_drops_idle_sockets,
    timeouts_of_layers,
    redis_without_password,
    layers_that_share_names,
)
