"""The targets of the benchmark: each bounds the ratio of two peers' figures in one case."""

from __future__ import annotations

from typing import NamedTuple

from bench.peers import RESUMABLE

__all__ = ["LIMITS", "LOSSLESS", "TARGETS", "Limit", "Target"]


class Target(NamedTuple):
    """``metric`` of ``above`` over that of ``below`` must be at least (or at most) ``bound``."""

    case: str
    above: str
    below: str
    bound: float
    metric: str = "us"
    at_most: bool = False
    of: str | None = None
    """The metric of ``below``, if it differs."""


def cheaper(case: str, ours: str, other: str, times: float) -> Target:
    """Require that ``ours`` needs ``times`` less server CPU than ``other``."""
    return Target(case, other, ours, times)


def no_slower(case: str, ours: str, other: str) -> Target:
    """Require that the p99 of ``ours`` is below the p50 of ``other``."""
    return Target(case, ours, other, 1, "p99_ms", at_most=True, of="p50_ms")


def resumable(case: str, ours: str, times: float) -> Target:
    """Require that ``ours`` needs at most ``times`` as much server CPU for clients that can come back."""
    return Target(case, ours + RESUMABLE, ours, times, at_most=True)


FLOOR, REDIS = "starlette", "starlette_redis"

TARGETS = (
    cheaper("A1", "ours_async", "channels_async", 7),
    cheaper("A1", "ours_async", FLOOR, 0.75),
    cheaper("A1", "ours_async", "broadcaster_memory", 1),
    cheaper("A1", "ours_async", "socketio_memory", 1),
    no_slower("A1", "ours_async", "channels_async"),
    cheaper("A2", "ours_async", "channels_async", 20),
    cheaper("A2", "ours_async", FLOOR, 0.90),
    cheaper("A2", "ours_async", "broadcaster_memory", 1),
    cheaper("A2", "ours_async", "socketio_memory", 1),
    no_slower("A2", "ours_async", "channels_async"),
    cheaper("A3", "ours_async", FLOOR, 0.85),
    cheaper("A-typed", "ours_typed", "chanx", 20),
    cheaper("A-typed", "ours_typed", FLOOR, 0.95),
    cheaper("A-manager", "ours_manager", FLOOR, 0.6),
    cheaper("B", "ours_async", "channels_async", 27),
    cheaper("B", "ours_async", FLOOR, 0.85),
    no_slower("B", "ours_async", "channels_async"),
    cheaper("C", "ours_async", "channels_async", 4),
    cheaper("C", "ours_async", FLOOR, 1),
    cheaper("D", "ours_async", "channels_async", 1.6),
    cheaper("D", "ours_async", FLOOR, 0.95),
    Target("E", "ours_async", "channels_async", 0.77, "kib", at_most=True),
    Target("E", "ours_async", FLOOR, 0.95, "kib", at_most=True),
    cheaper("A1-sync", "ours_sync", "channels_sync", 10),
    cheaper("A1-sync", "ours_sync", FLOOR, 0.5),
    cheaper("A2-sync", "ours_sync", "channels_sync", 16),
    cheaper("C-sync", "ours_sync", "channels_sync", 6),
    cheaper("C-sync", "ours_sync", FLOOR, 0.8),
    Target("F", "ours_sync", "channels_sync", 0.1, "seconds", at_most=True),
    Target("F", "ours_sync", FLOOR, 1.3, "seconds", at_most=True),
    Target("M", "ours_sync", "channels_sync", 300, "rate"),
    Target("M", "ours_sync", "channels_sync", 0.02, "p99_ms", at_most=True, of="p50_ms"),
    cheaper("M", "ours_sync", FLOOR, 0.7),
    cheaper("G", "ours_pubsub", "channels_pubsub", 6.5),
    cheaper("G", "ours_queue", "channels_queue", 8),
    cheaper("G", "ours_pubsub", REDIS, 0.75),
    cheaper("G", "ours_pubsub", "broadcaster_redis", 1),
    cheaper("G", "ours_pubsub", "socketio_redis", 1),
    no_slower("G", "ours_pubsub", "channels_pubsub"),
    no_slower("G", "ours_queue", "channels_queue"),
    cheaper("B-redis", "ours_pubsub", "channels_pubsub", 6),
    cheaper("B-redis", "ours_queue", "channels_queue", 6),
    Target("H", "ours_pubsub", "channels_pubsub", 3.5, "rate"),
    Target("H", "ours_queue", "channels_queue", 3.5, "rate"),
    Target("H", "ours_pubsub_sync", "channels_pubsub", 12, "rate"),
    Target("H", "ours_queue_sync", "channels_queue", 12, "rate"),
    Target("H", "ours_pubsub_sync", "redis_publish", 0.65, "rate"),
    Target("S-history", "ours_pubsub_history", "redis_publish", 6, "redis_us", at_most=True),
    Target("S-history", "ours_pubsub_history", "redis_publish", 6, "redis_alone_us", at_most=True),
    Target("P", "page_subset", "page_starlette", 2, at_most=True),
    Target("P", "page_subset", "page_django", 0.5, at_most=True),
    Target("O", "ours_async", "ours_async", 0.9, "rate", of="rate_alone"),
    resumable("A1", "ours_async", 1.1),
    resumable("A2", "ours_async", 1.1),
    resumable("G", "ours_pubsub", 1.1),
    resumable("G", "ours_queue", 1.1),
    resumable("R", "ours_async", 1),
)

LOSSLESS = ("ours_async", "ours_once", "ours_sync", "ours_pubsub", "ours_queue", "ours_typed", "ours_manager")
LOSSLESS += ("ours_async_resumable", "ours_pubsub_resumable", "ours_queue_resumable")
"""Peers that may not lose messages in any case."""

A3_OVER_A1 = 1.3
"""The maximum ratio of the cost of a delivery in a room of 10,000 to that in one of 100."""

STUCK_GROWTH_MIB = 2.0
"""The maximum memory for a member that never reads, in MiB."""


class Limit(NamedTuple):
    """``metric`` of ``peer``, less that of ``less``, must be at most ``bound``."""

    case: str
    peer: str
    metric: str
    bound: float
    less: str | None = None


LIMITS = (
    Limit("E", "ours_async_resumable", "kib", 3, less="ours_async"),
    Limit("E-parked", "ours_async_resumable", "kib", 30),
    Limit("K", "ours_async_resumable", "seconds", 10),
    Limit("S-live", "ours_live", "now_ms", 200),
    Limit("S-live", "ours_live", "stall_ms", 20),
    *(Limit("S-presence", peer, "agree_s", 1) for peer in ("ours_pubsub", "ours_queue", "ours_streams")),
    *(Limit("S-presence", peer, "growth", 1.5) for peer in ("ours_pubsub", "ours_queue", "ours_streams")),
)
