"""Checks of the layers at work: each server is asked what it is, and each layer carries a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.cli.embedded import CONNECT_TIMEOUT_S, servers_of
from compat.cli.layer_trial import examine

if TYPE_CHECKING:
    from compat.layers.redis.hosts import Host

__all__ = ["CHECKS", "Answer", "answers_of", "ask"]

OLDEST = (5, 0)
"""BZPOPMIN came with it."""
WANTED = "redis-server 5.0 or newer (Valkey and KeyDB of that time as well)"
SLOW_S = 0.01
ASKED = ("maxmemory", "maxmemory-policy", "timeout", "maxclients")


@dataclass(frozen=True)
class Answer:
    """What one server said: why it did not (``failure``), or INFO, some of CONFIG, and the time of a PING."""

    alias: str
    where: str
    failure: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    ping_s: float = 0.0

    @property
    def version(self) -> str:
        """Such as "7.0.15"; "" where it is not told."""
        return str(self.info.get("redis_version", ""))


def answers_of(subject: Subject) -> list[Answer]:
    """Ask every server of every layer, once in a run."""
    answers: list[Answer] | None = vars(subject).get("_answers")
    if answers is None:
        hosts = [(alias, host) for alias, layer in subject.layers.items() for host in servers_of(layer)]
        answers = [ask(alias, host) for alias, host in hosts]
        vars(subject)["_answers"] = answers
    return answers


def ask(alias: str, host: Host) -> Answer:
    """In a thread: the caller may be inside a running loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _ask(alias, host)).result()


async def _ask(alias: str, host: Host) -> Answer:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    from compat.layers.redis.connection import reason_of
    from compat.layers.redis.hosts import close_pool

    pool = host.pool()
    client = Redis(connection_pool=pool)
    try:
        info = dict(await asyncio.wait_for(client.info(), CONNECT_TIMEOUT_S))
        begun = time.perf_counter()
        await asyncio.wait_for(client.ping(), CONNECT_TIMEOUT_S)
        ping_s = time.perf_counter() - begun
        config = await _config(client)
    except asyncio.TimeoutError:
        return Answer(alias, host.where, f"no answer within {CONNECT_TIMEOUT_S:g} s")
    except (RedisError, OSError) as failure:
        return Answer(alias, host.where, reason_of(failure))
    finally:
        await close_pool(pool)
    return Answer(alias, host.where, info=info, config=config, ping_s=ping_s)


async def _config(client: Any) -> dict[str, str]:
    """Some settings of the server; none where it does not tell (managed ones often do not)."""
    from redis.exceptions import RedisError

    found: dict[str, str] = {}
    for name in ASKED:
        try:
            found.update(await asyncio.wait_for(client.config_get(name), CONNECT_TIMEOUT_S))
        except (RedisError, asyncio.TimeoutError):
            break
    return {_text(key): _text(value) for key, value in found.items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _answered(subject: Subject) -> list[Answer]:
    return [answer for answer in answers_of(subject) if not answer.failure]


def redis_unreachable(subject: Subject) -> Iterator[Finding]:
    """A server that does not answer, or does not let us in."""
    for answer in answers_of(subject):
        if answer.failure:
            yield error(
                f"Redis at {answer.where} (layer {answer.alias!r}) cannot be used: {answer.failure}",
                "Start it, or mend the address and password in CHANNEL_LAYERS.",
                answer.where,
            )


def layer_without_messages(subject: Subject) -> Iterator[Finding]:
    """A layer whose server answers, and through which nothing comes: rights that are missing, most often."""
    away = {answer.alias for answer in answers_of(subject) if answer.failure}
    for alias, layer in subject.layers.items():
        if alias in away:
            continue
        with ThreadPoolExecutor(1) as thread:
            wrong = thread.submit(asyncio.run, examine(layer)).result().wrong
        for text in wrong:
            fix = "Mend it, and see 'channels-compat layers': nothing is sent through this layer."
            yield error(f"a message sent through layer {alias!r} was not received: {text}", fix, alias)


def redis_version(subject: Subject) -> Iterator[Finding]:
    """A server that lacks commands which the layers use."""
    for answer in _answered(subject):
        numbers = tuple(int(part) for part in answer.version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            yield error(
                f"Redis at {answer.where} is version {answer.version}, which lacks commands of the layers",
                f"Use {WANTED}.",
                answer.where,
            )


def redis_role(subject: Subject) -> Iterator[Finding]:
    """A server that cannot be written to, or that keeps its keys on several nodes."""
    for answer in _answered(subject):
        if answer.info.get("role") == "slave":
            yield error(
                f"Redis at {answer.where} is a replica, which takes no writes",
                'Name the master, or: {"sentinels": [("host", 26379)], "master_name": "mymaster"}.',
                answer.where,
            )
        if answer.info.get("cluster_enabled"):
            yield warning(
                f"Redis at {answer.where} is a node of a cluster: the layers' scripts use several keys, "
                "which a cluster refuses unless they are on one node",
                "Use a Redis of its own for the layers, or several as 'hosts', which the layers share out.",
                answer.where,
            )


def redis_memory(subject: Subject) -> Iterator[Finding]:
    """A server that throws keys away when its memory is full, or has begun to."""
    for answer in _answered(subject):
        policy = answer.config.get("maxmemory-policy") or str(answer.info.get("maxmemory_policy", ""))
        limit = int(answer.info.get("maxmemory", 0) or 0)
        used = int(answer.info.get("used_memory", 0) or 0)
        if limit and policy not in ("", "noeviction"):
            yield warning(
                f"Redis at {answer.where} throws keys away when its {limit >> 20} MiB are full "
                f"(maxmemory-policy {policy}): messages that wait are lost, and no sender is told",
                "maxmemory-policy noeviction, and a Redis that is not a cache.",
                answer.where,
            )
        if limit and used > limit * 0.8:
            yield warning(
                f"Redis at {answer.where} uses {used * 100 // limit} % of its {limit >> 20} MiB",
                "Raise maxmemory, or lower expiry and capacity of the layers.",
                answer.where,
            )
        evicted = int(answer.info.get("evicted_keys", 0) or 0)
        if evicted:
            yield warning(
                f"Redis at {answer.where} has thrown away {evicted} keys since it was started",
                "maxmemory-policy noeviction, and more memory.",
                answer.where,
            )


def redis_closes_idle_clients(subject: Subject) -> Iterator[Finding]:
    """The server's own time limit for clients that say nothing."""
    for answer in _answered(subject):
        limit_s = answer.config.get("timeout", "0")
        if limit_s not in ("", "0"):
            yield note(
                f"Redis at {answer.where} closes clients that have been idle for {limit_s} s (its setting "
                "timeout); the layers connect again, after an error in the log",
                "CONFIG SET timeout 0, and tcp-keepalive 60 for dead ones.",
                answer.where,
            )


def redis_clients(subject: Subject) -> Iterator[Finding]:
    """A server that turns clients away, or will."""
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
    """A round trip that every message pays for."""
    for answer in _answered(subject):
        if answer.ping_s > SLOW_S:
            yield note(
                f"a PING to Redis at {answer.where} took {answer.ping_s * 1000:.0f} ms from here; every "
                "message to a group pays for one",
                "Run Redis in the same network as the servers; ask again from there.",
                answer.where,
            )


CHECKS = (
    redis_unreachable,
    layer_without_messages,
    redis_version,
    redis_role,
    redis_memory,
    redis_closes_idle_clients,
    redis_clients,
    redis_far_away,
)
