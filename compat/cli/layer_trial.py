"""Test a layer: ask its servers for their state, and send a message through it.

The test uses a new channel and a new group, and leaves both, so it does not disturb other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from compat.cli.embedded import masters_of
from compat.exceptions import LayerUnavailable

if TYPE_CHECKING:
    from compat.redis.connection import Explain
    from compat.redis.hosts import Host

__all__ = ["Findings", "examine"]

T = TypeVar("T")
WITHIN_S = 10.0
"""The time limit of one step; layers of ours give up earlier, with a better error."""
TIMES = 3
"""The number of trips; the fastest is reported, because the first ones connect."""


class Late(Exception):
    """A step of the test has taken too long."""


@dataclass
class Findings:
    """The results of a test of a layer, as lines of text."""

    facts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Problems that are not errors yet."""
    wrong: list[str] = field(default_factory=list)


async def examine(layer: Any) -> Findings:
    """Ask each server of ``layer``, then send and receive messages through it."""
    findings = Findings()
    masters = await masters_of(layer)
    for where, host in masters:
        await _ask(host, where, layer.explain, findings)
    if any(host.is_shard for _, host in masters) and not findings.wrong:
        findings.facts.append(await _about_cluster(layer, len(masters)))
    if not findings.wrong:
        await _try_out(layer, findings)
    findings.facts.append(_limits(layer))
    return findings


async def _about_cluster(layer: Any, masters: int) -> str:
    from compat.redis.cluster import PLAIN, commands_of

    kind = "plain" if await commands_of(layer.redis_hosts) is PLAIN else "sharded"
    return f"{len(layer.redis_hosts)} shards on {masters} masters, {kind} pub/sub"


def _limits(layer: Any) -> str:
    capacity, expiry = getattr(layer, "capacity", None), getattr(layer, "expiry", None)
    said = f"capacity {'unknown' if capacity is None else capacity}"
    return said if expiry in (None, float("inf")) else f"{said}, expiry {expiry:g} s"


async def _ask(host: Host, where: str, explain: Explain, findings: Findings) -> None:
    """Ping a server, and read its version and the options that concern a layer."""
    from compat.redis.connection import Link
    from compat.redis.hosts import close_pool

    pool = host.pool()
    try:
        link = await Link.open(host, pool, explain)
        try:
            pings = [await _timed(lambda: link.call(b"PING")) for _ in range(TIMES)]
            about = await _about(link.call(b"INFO"))
        finally:
            await link.aclose()
    except LayerUnavailable as error:
        findings.wrong.append(str(error))
        return
    except Exception as error:  # noqa: BLE001 - the project's credential_provider may raise any error
        findings.wrong.append(_in_words(error))
        return
    finally:
        await close_pool(pool)
    findings.facts.append(f"{_version(about)} at {where}, ping {1000 * min(pings):.1f} ms")
    _judge(about, where, findings)


async def _about(reply: Awaitable[bytes]) -> dict[str, str]:
    """Return the reply of INFO as a dict; {} if the server refuses it to this user, or to all."""
    from compat.redis.servers import info_of
    from compat.redis.unavailable import RedisPermissionDenied, RedisRefused

    try:
        return info_of(await reply)
    except (RedisPermissionDenied, RedisRefused):
        return {}


def _version(about: dict[str, str]) -> str:
    for name, key in (("Valkey", "valkey_version"), ("Redis", "redis_version")):
        if key in about:
            return f"{name} {about[key]}"
    return "Redis (it does not tell this user its version)"


def _judge(about: dict[str, str], where: str, findings: Findings) -> None:
    policy = about.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and about.get("maxmemory", "0") != "0":
        findings.remarks.append(
            f"Redis at {where} has maxmemory-policy {policy}: when its memory is full, it deletes messages "
            "and members of groups (which return within the lease). Set it to noeviction: then senders get "
            "an error"
        )


async def _try_out(layer: Any, findings: Findings) -> None:
    """Send a message to a channel of this process, and one through a group."""
    try:
        channel = await _in_time(layer.new_channel(), "new_channel() did not return")
        direct = min([await _timed(lambda: _round_trip(layer.send, layer, channel)) for _ in range(TIMES)])
        said = f"send and receive {1000 * direct:.1f} ms"
        if "groups" in getattr(layer, "extensions", ()):
            said += f", through a group {1000 * await _group_trip(layer, channel):.1f} ms"
        findings.facts.append(said)
    except Exception as error:  # noqa: BLE001 - a layer may raise any error, and the report shows it
        findings.wrong.append(_in_words(error))
    finally:
        close = getattr(layer, "close_pools", None)
        if close is not None:
            await close()


async def _group_trip(layer: Any, channel: str) -> float:
    group = f"layers-command-{uuid.uuid4().hex}"
    await _in_time(layer.group_add(group, channel), "group_add() did not return")
    try:

        async def send(name: str, message: Any) -> None:
            await layer.group_send(group, message)

        return min([await _timed(lambda: _round_trip(send, layer, channel)) for _ in range(TIMES)])
    finally:
        with contextlib.suppress(Late):  # what came before it tells more
            await _in_time(layer.group_discard(group, channel), "group_discard() did not return")


async def _round_trip(send: Callable[[str, Any], Awaitable[Any]], layer: Any, channel: str) -> None:
    sent = {"type": "layers.command", "id": uuid.uuid4().hex}
    await _in_time(send(channel, sent), "send() or group_send() did not return")
    got = await _in_time(layer.receive(channel), "a message that was sent did not come back")
    # A layer may add keys, for example those of a trace.
    if not isinstance(got, Mapping) or not sent.items() <= got.items():
        raise AssertionError(f"{sent!r} was sent, and {got!r} was received")


async def _in_time(step: Awaitable[T], otherwise: str) -> T:
    try:
        return await asyncio.wait_for(step, WITHIN_S)
    except asyncio.TimeoutError as error:
        raise Late(f"{otherwise} within {WITHIN_S:g} s") from error


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def _in_words(error: Exception) -> str:
    if isinstance(error, (Late, LayerUnavailable)):
        return str(error)
    return f"{type(error).__name__}: {error}"
