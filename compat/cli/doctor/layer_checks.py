"""Checks of the channel layers as they are configured; their servers are asked by ``redis_checks``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.cli.embedded import servers_of
from compat.layers import InMemoryChannelLayer
from compat.refusal import listed

__all__ = ["CHECKS"]

SHORT_S, LONG_S = 1.0, 30.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
REDIS_BACKEND = '"BACKEND": "compat.layers.redis.core.RedisChannelLayer"'


def no_layers(subject: Subject) -> Iterator[Finding]:
    """Consumers, and nothing by which they could reach each other."""
    if subject.consumers and not subject.layers and not subject.problems:
        yield note(
            "no channel layer is configured: consumers can answer their own client only",
            'CHANNEL_LAYERS = {"default": {' + REDIS_BACKEND + ', "CONFIG": {"hosts": ["redis://…"]}}}',
        )


def memory_layer_with_workers(subject: Subject) -> Iterator[Finding]:
    """Layers that one process keeps, where there are several."""
    layers = subject.layers.items()
    aliases = [alias for alias, layer in layers if isinstance(layer, InMemoryChannelLayer)]
    if not aliases:
        return
    what = f"in memory: {listed(aliases)}"
    if subject.workers > 1:
        yield error(
            f"channel layers {what}, where each of {subject.workers} processes "
            f"({subject.workers_source}) has its own: people in one room do not all hear each other",
            f"Use Redis ({REDIS_BACKEND}), or one worker. Where the environment decides (REDIS_URL, say), "
            "run the doctor in that of production.",
        )
    else:
        yield note(
            f"channel layers {what}. They work in one process, and only there: a second worker, a second "
            "machine or a Celery task would not share them",
            f"For more than one process: {REDIS_BACKEND}.",
        )


def capacity_below_members(subject: Subject) -> Iterator[Finding]:
    """What may wait for one consumer is less than what a full room may send it at once."""
    if not subject.members:
        return
    small: dict[tuple[int, str], list[str]] = defaultdict(list)
    for alias, layer in subject.layers.items():
        capacity = getattr(layer, "capacity", None)
        if isinstance(capacity, int) and capacity < subject.members:
            small[(capacity, getattr(layer, "on_overflow", "drop"))].append(alias)
    for (capacity, policy), aliases in small.items():
        lost = {"close": "it is closed with 1013", "drop_oldest": "it loses the oldest"}
        yield warning(
            f"capacity {capacity} (channel layers: {listed(aliases)}), and {subject.members} members are "
            f"expected in a room: when all speak at once, each has {subject.members} messages waiting, and "
            f"{lost.get(policy, 'it loses the newest')}",
            f'"CONFIG": {{"capacity": {_rounded(subject.members * 2)}}}; metrics and the log count what is '
            "dropped.",
        )


def _rounded(value: int) -> int:
    """Up to the next number with two digits and zeros."""
    unit: int = 10 ** max(0, len(str(value)) - 2)
    return -(-value // unit) * unit


def redis_py_drops_idle_sockets(subject: Subject) -> Iterator[Finding]:
    """Real channels_redis leaves its timeouts to redis-py, and version 8 gives every read five seconds."""
    theirs = [alias for alias, layer in subject.layers.items() if _is_channels_redis(layer)]
    if theirs and _major("redis") >= 8:
        yield error(
            f"layer {theirs[0]!r} is the one of channels_redis, and redis-py {version('redis')} ends every "
            "read after 5 s: a consumer that hears nothing for so long is dropped",
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
    """Limits that end connections under load, or that notice a dead server late."""
    for alias, layer in subject.layers.items():
        for host in servers_of(layer):
            limits = {
                "socket_timeout": host.reply_timeout_s,
                "socket_connect_timeout": host.connect_timeout_s,
            }
            for name, seconds in limits.items():
                if seconds < SHORT_S:
                    yield warning(
                        f"layer {alias!r}: {name} = {seconds:g} s for {host.where}; a reply that a busy "
                        "Redis gives later ends the connection, and every call that waits on it",
                        f"Leave {name} out (5 s), or set some seconds.",
                        f"CHANNEL_LAYERS[{alias!r}]",
                    )
                elif seconds > LONG_S:
                    yield note(
                        f"layer {alias!r}: {name} = {seconds:g} s for {host.where}; a Redis that hangs is "
                        "noticed after that time, and until then messages wait",
                        f"Leave {name} out: 5 s.",
                        f"CHANNEL_LAYERS[{alias!r}]",
                    )


def redis_without_password(subject: Subject) -> Iterator[Finding]:
    """A Redis over the network that anybody in it can read and write."""
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
                f"layer {alias!r} reaches {host.where} without a password: whoever reaches that port too "
                "reads every message, and can send any to your consumers",
                "redis://:password@host:6379 (rediss:// with TLS), or symmetric_encryption_keys.",
                f"CHANNEL_LAYERS[{alias!r}]",
            )


def _connection_options(host: Any) -> dict[str, Any]:
    from compat.layers.redis.hosts import create_pool

    return dict(create_pool(host.options).connection_kwargs)


def layers_that_share_names(subject: Subject) -> Iterator[Finding]:
    """Two aliases with one prefix on one server are one layer: each hears the other's groups."""
    places: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for alias, layer in subject.layers.items():
        where = tuple((host.where, _connection_options(host).get("db", 0)) for host in servers_of(layer))
        if where:
            places[(type(layer), getattr(layer, "prefix", ""), where)].append(alias)
    for (_, prefix, _), aliases in places.items():
        if len(aliases) > 1:
            yield warning(
                f"the layers {' and '.join(map(repr, aliases))} have the prefix {prefix!r} on the same "
                "Redis: a group's name means the same group in both",
                'Give each a prefix of its own: "CONFIG": {"prefix": "chat"}.',
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
