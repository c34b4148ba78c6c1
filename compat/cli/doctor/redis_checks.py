"""Checks of the Redis servers: each server is asked for its state, and each layer sends a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compat.cli.doctor.answers import Answer, text
from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.cli.embedded import masters_of, run_apart, servers_of
from compat.cli.layer_trial import examine

__all__ = ["CHECKS"]

OLDEST, OLDEST_FOR_STREAMS = (5, 0), (6, 2)
"""The first version with BZPOPMIN, and the first whose XRANGE can begin behind an entry."""
SLOW_S = 0.01
MOST_KEYS = 100_000


def _answered(subject: Subject) -> list[Answer]:
    return [answer for answer in subject.answers if not answer.failure]


def redis_unreachable(subject: Subject) -> Iterator[Finding]:
    """Report servers that do not answer, or refuse the connection."""
    for answer in subject.answers:
        if answer.failure:
            yield error(
                f"Redis at {answer.where} (layer {answer.alias!r}) cannot be used: {answer.failure}",
                "Start the server, or correct its address and password in CHANNEL_LAYERS.",
                answer.where,
            )


def layer_without_messages(subject: Subject) -> Iterator[Finding]:
    """Report layers whose server answers but through which no message passes, most often for lack of
    permissions.
    """
    away = {answer.alias for answer in subject.answers if answer.failure}
    for alias, layer in subject.layers.items():
        if alias in away:
            continue
        for wrong in run_apart(examine(layer)).wrong:
            fix = "Correct the cause, then test the layer with 'channels-compat layers'."
            yield error(f"a message sent through layer {alias!r} was not received: {wrong}", fix, alias)


def _oldest_for(layer: Any) -> tuple[int, int]:
    from compat.layers.redis.streams import RedisStreamsChannelLayer  # needs the extra; a layer here has it

    return OLDEST_FOR_STREAMS if isinstance(layer, RedisStreamsChannelLayer) else OLDEST


def redis_version(subject: Subject) -> Iterator[Finding]:
    """Report servers that lack commands which the layers use."""
    for answer in _answered(subject):
        numbers = tuple(int(part) for part in answer.version.split(".")[:2] if part.isdigit())
        oldest = _oldest_for(subject.layers.get(answer.alias))
        if numbers and numbers < oldest:
            yield error(
                f"Redis at {answer.where} has version {answer.version}, which lacks commands that layer "
                f"{answer.alias!r} uses",
                f"Use Redis {oldest[0]}.{oldest[1]} or newer, Valkey or KeyDB.",
                answer.where,
            )


def redis_role(subject: Subject) -> Iterator[Finding]:
    """Report servers that are replicas or nodes of a cluster."""
    for answer in _answered(subject):
        if answer.info.get("role") == "slave":
            yield error(
                f"Redis at {answer.where} is a replica, which refuses writes",
                'Name the master, or use {"sentinels": [("host", 26379)], "master_name": "mymaster"}.',
                answer.where,
            )
        if answer.info.get("cluster_enabled") and not answer.in_cluster:
            yield error(
                f"Redis at {answer.where} is a node of a cluster, and layer {answer.alias!r} takes it for a "
                "single server: the node refuses the keys of other nodes",
                f'Write "hosts": [{{"cluster": ["redis://{answer.where}"]}}], with some more of its nodes.',
                answer.where,
            )


def redis_cluster_shards(subject: Subject) -> Iterator[Finding]:
    """Report keys in a cluster of processes that have another number of shards."""
    for alias, layer in subject.layers.items():
        away = any(answer.failure for answer in subject.answers if answer.alias == alias)
        if away or not any(host.is_shard for host in servers_of(layer)):
            continue
        others = run_apart(_other_counts(layer))
        if others:
            yield error(
                f"layer {alias!r} has {layer.ring_size} shards, and other processes have "
                f"{', '.join(map(str, sorted(others)))} under its prefix {layer.prefix!r}: they do not hear "
                "each other",
                "Give all processes the same 'shards', or the two layers different prefixes.",
                alias,
            )


async def _other_counts(layer: Any) -> set[int]:
    """Return the numbers of shards, apart from that of the layer, of the keys under its prefix."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from compat.redis.hosts import close_pool

    found: set[int] = set()
    head = f"{layer.prefix}{{"
    for _, host in await masters_of(layer):
        client = Redis(connection_pool=(pool := host.pool()))
        try:
            looked = 0
            async for key in client.scan_iter(match=f"{head}*", count=1000):
                looked += 1
                count = text(key)[len(head) :].partition(".")[0]
                found.update([int(count)] if count.isdecimal() else [])
                if looked >= MOST_KEYS:
                    break
        except RedisError:
            pass  # this user may not look at keys
        finally:
            await close_pool(pool)
    return found - {layer.ring_size}


def redis_memory(subject: Subject) -> Iterator[Finding]:
    """Report servers that evict keys when their memory is full, or are near their limit."""
    for answer in _answered(subject):
        policy = answer.config.get("maxmemory-policy") or str(answer.info.get("maxmemory_policy", ""))
        limit = int(answer.info.get("maxmemory", 0) or 0)
        used = int(answer.info.get("used_memory", 0) or 0)
        if limit and policy not in ("", "noeviction"):
            yield warning(
                f"Redis at {answer.where} deletes keys when its {limit >> 20} MiB are full (maxmemory-policy "
                f"{policy}): waiting messages are lost, and their senders get no error",
                "Set maxmemory-policy noeviction, and use a Redis that is not a cache.",
                answer.where,
            )
        if limit and used > limit * 0.8:
            yield warning(
                f"Redis at {answer.where} uses {used * 100 // limit} % of its {limit >> 20} MiB",
                "Raise maxmemory, or lower the expiry and capacity of the layers.",
                answer.where,
            )
        evicted = int(answer.info.get("evicted_keys", 0) or 0)
        if evicted:
            yield warning(
                f"Redis at {answer.where} has deleted {evicted} keys since it was started, to free memory",
                "Set maxmemory-policy noeviction, and add memory.",
                answer.where,
            )


def redis_closes_idle_clients(subject: Subject) -> Iterator[Finding]:
    """Report a time limit of the server for idle clients."""
    for answer in _answered(subject):
        limit_s = answer.config.get("timeout", "0")
        if limit_s not in ("", "0"):
            yield note(
                f"Redis at {answer.where} closes clients that have been idle for {limit_s} s (its option "
                "timeout); the layers log an error and connect again",
                "CONFIG SET timeout 0; use tcp-keepalive 60 to detect dead clients.",
                answer.where,
            )


def redis_clients(subject: Subject) -> Iterator[Finding]:
    """Report servers that refuse clients, or are near their limit."""
    for answer in _answered(subject):
        rejected = int(answer.info.get("rejected_connections", 0) or 0)
        limit, now = int(answer.config.get("maxclients") or 0), int(answer.info.get("connected_clients", 0))
        if rejected or (limit and now > limit * 0.8):
            yield warning(
                f"Redis at {answer.where} has {now} clients of {limit or '?'}, and has refused {rejected}",
                "Raise maxclients (and the server's limit of open files).",
                answer.where,
            )


def redis_far_away(subject: Subject) -> Iterator[Finding]:
    """Report servers with a long round trip."""
    for answer in _answered(subject):
        if answer.ping_s > SLOW_S:
            yield note(
                f"a PING to Redis at {answer.where} took {answer.ping_s * 1000:.0f} ms; every message to a "
                "group needs one round trip",
                "Run Redis in the same network as the servers, and run the doctor there.",
                answer.where,
            )


CHECKS = (
    redis_unreachable,
    layer_without_messages,
    redis_version,
    redis_role,
    redis_cluster_shards,
    redis_memory,
    redis_closes_idle_clients,
    redis_clients,
    redis_far_away,
)
