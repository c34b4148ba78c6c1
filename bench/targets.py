"""The targets of the benchmark: each bounds the ratio of two peers' figures in one case."""

from __future__ import annotations

from typing import NamedTuple

from bench.peers import LEVELS, RESUMABLE

__all__ = ["LATENCIES", "LIMITS", "LOSSLESS", "OPEN_LOOPS", "TARGETS", "Limit", "Target"]


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


def both(ours: str) -> tuple[str, str]:
    """Return the peer on our routers and the one on Starlette's routes."""
    return ours, "ours_routes" if ours == "ours_async" else f"{ours}_routes"


def on_both(case: str, ours: str, other: str, times: float) -> tuple[Target, ...]:
    """Require it of consumers on our routers and on Starlette's routes."""
    return tuple(cheaper(case, peer, other, times) for peer in both(ours))


FLOOR, REDIS = "starlette", "starlette_redis"
CHANNELS = "channels_async"

OPEN_LOOPS = (
    *((case, "ours_async", FLOOR, CHANNELS) for case in ("L1", "L2", "L3")),
    ("L4", "ours_pubsub", REDIS, "channels_pubsub"),
)
"""The open-loop cases: ours on our routers, the bare loop, and Channels."""

TARGETS = (
    *on_both("A1", "ours_async", CHANNELS, 15),
    *on_both("A1", "ours_async", FLOOR, 1.35),
    cheaper("A1", "ours_async", "broadcaster_memory", 1),
    cheaper("A1", "ours_async", "socketio_memory", 1),
    no_slower("A1", "ours_async", CHANNELS),
    *on_both("A2", "ours_async", CHANNELS, 45),
    *on_both("A2", "ours_async", FLOOR, 1.5),
    cheaper("A2", "ours_async", "broadcaster_memory", 1),
    cheaper("A2", "ours_async", "socketio_memory", 1),
    no_slower("A2", "ours_async", CHANNELS),
    *on_both("A3", "ours_async", FLOOR, 1.8),
    cheaper("A-typed", "ours_typed", "chanx", 20),
    cheaper("A-typed", "ours_typed", FLOOR, 0.95),
    cheaper("A-manager", "ours_manager", FLOOR, 0.6),
    *on_both("B", "ours_async", CHANNELS, 35),
    *on_both("B", "ours_async", FLOOR, 1),
    no_slower("B", "ours_async", CHANNELS),
    *on_both("C", "ours_async", CHANNELS, 4),
    *on_both("C", "ours_async", FLOOR, 1),
    *on_both("D", "ours_async", CHANNELS, 2.3),
    *on_both("D", "ours_async", FLOOR, 0.95),
    *(
        Target("E", ours, other, bound, "kib", at_most=True)
        for ours in both("ours_async")
        for other, bound in ((CHANNELS, 0.75), (FLOOR, 0.90))
    ),
    *on_both("A1-sync", "ours_sync", "channels_sync", 14),
    *on_both("A1-sync", "ours_sync", FLOOR, 0.65),
    *on_both("A2-sync", "ours_sync", "channels_sync", 25),
    *on_both("A2-sync", "ours_sync", FLOOR, 0.6),
    *on_both("C-sync", "ours_sync", "channels_sync", 7),
    *on_both("C-sync", "ours_sync", FLOOR, 0.85),
    Target("F", "ours_sync", "channels_sync", 0.1, "seconds", at_most=True),
    Target("F", "ours_sync", FLOOR, 1.3, "seconds", at_most=True),
    Target("M", "ours_sync", "channels_sync", 300, "rate"),
    Target("M", "ours_sync", "channels_sync", 0.02, "p99_ms", at_most=True, of="p50_ms"),
    cheaper("M", "ours_sync", FLOOR, 0.7),
    *on_both("G", "ours_pubsub", "channels_pubsub", 9),
    *on_both("G", "ours_queue", "channels_queue", 10),
    *on_both("G", "ours_pubsub", REDIS, 1.1),
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
    *(
        target
        for case in ("L2", "L3")
        for level in LEVELS[:3]
        for target in (
            *on_both(f"{case}-{level}", "ours_async", CHANNELS, 7),
            *(Target(f"{case}-{level}", ours, FLOOR, 1.4, at_most=True) for ours in both("ours_async")),
            Target(f"{case}-{level}", "ours_once", FLOOR, 1.1, at_most=True),
        )
    ),
    *(
        no_slower(f"{case}-{level}", ours, channels)
        for case, peer, _, channels in OPEN_LOOPS
        for level in LEVELS
        for ours in both(peer)
    ),
    *(
        Target("N-flood", ours, CHANNELS, 1, metric, at_most=True)
        for ours in both("ours_async")
        for metric in ("p50_ms", "p99_ms")
    ),
    *(
        Target("I2", ours, other, bound, "rate")
        for ours in both("ours_async")
        for other, bound in ((CHANNELS, 2), (FLOOR, 0.95))
    ),
    *(
        Target("I3", ours, other, bound, "rate")
        for ours in both("ours_pubsub")
        for other, bound in (("channels_pubsub", 2), (REDIS, 0.95))
    ),
)

LOSSLESS = (
    *both("ours_async"),
    "ours_each",
    "ours_once",
    *both("ours_sync"),
    *both("ours_pubsub"),
    *both("ours_queue"),
    "ours_typed",
    "ours_manager",
    "ours_async_resumable",
    "ours_pubsub_resumable",
    "ours_queue_resumable",
)
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
    *(Limit("C", ours, "us", 1.5, less="asgi") for ours in both("ours_async")),
    *(
        Limit(case, ours, metric, bound)
        for metric, bound in (("p50_ms", 1.5), ("p99_ms", 15))
        for case in ("N-flood", "N-slow")
        for ours in both("ours_async")
    ),
    *(
        Limit("I1", ours, metric, bound)
        for ours in both("ours_pubsub")
        for metric, bound in (("kib", 22), ("idle_pct", 2), ("over_bound", 1.5))
    ),
    *(Limit("I3", ours, "waited_s", 5) for ours in both("ours_pubsub")),
    Limit("S-live", "ours_live", "now_ms", 200),
    Limit("S-live", "ours_live", "stall_ms", 20),
    Limit("S-live", "ours_live_gc", "stall_ms", 20),
    *(Limit("S-presence", peer, "agree_s", 1) for peer in ("ours_pubsub", "ours_queue", "ours_streams")),
    *(Limit("S-presence", peer, "growth", 1.5) for peer in ("ours_pubsub", "ours_queue", "ours_streams")),
)


class Latency(NamedTuple):
    """The p50 of ``peer`` is at most 1.25 times that of ``floor``, its p99 1.5 times, or both under 1 ms."""

    case: str
    peer: str
    floor: str


TIMES_P50, TIMES_P99, BELOW_MS = 1.25, 1.5, 1.0
LATENCIES = tuple(
    Latency(f"{case}-{level}", ours, floor)
    for case, peer, floor, _ in OPEN_LOOPS
    for level in LEVELS
    for ours in both(peer)
)
