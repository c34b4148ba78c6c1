"""The peers: their applications, their environments, and the cases in which each takes part.

A name of ours may end with one of ``FAST``: ``ours_async_plain`` is ``ours_async`` with ``CHANNEL_FAST=0``.
With ``RESUMABLE`` at the end, the clients speak ``channels.resume.v1``; with ``COLLECTING``, ``CHANNEL_GC``
is on; with ``BEFORE``, the server is of another checkout.
"""

from __future__ import annotations

__all__ = [
    "BEFORE",
    "COLLECTING",
    "DEFAULT_PEERS",
    "ENVIRONMENTS",
    "FAST",
    "FLOOR",
    "FLOOR_REDIS",
    "LEVELS",
    "OBSERVED",
    "RESUMABLE",
    "RESUMES",
    "app_of",
    "environment_of",
    "fast_of",
]

ENVIRONMENTS = {
    "channels": ("channels_async", "channels_sync", "channels_pubsub", "channels_queue", "page_django"),
    "others": (
        "broadcaster_memory",
        "broadcaster_redis",
        "chanx",
        "fast_channels",
        "socketio_memory",
        "socketio_redis",
    ),
}
"""Environments, and the applications that run in them. All others run in "ours"."""

FLOOR, FLOOR_REDIS = "starlette", "starlette_redis"
"""The baselines: a Starlette endpoint with sockets in a set."""

FAST = {
    "_plain": "0",
    "_no_reading": "scheduling,write_batching,bridge",
    "_no_batching": "scheduling,reading,bridge",
    "_no_bridge": "scheduling,reading,write_batching",
}
"""What the name of a peer may end with, and what ``CHANNEL_FAST`` is then."""

COLLECTING = "_gc"
"""It runs with ``CHANNEL_GC=1``."""
RESUMABLE = "_resumable"
RESUMES = "#resume"
"""The end of an address whose clients come back."""
BEFORE = "_before"
"""It runs what ``BENCH_BEFORE`` names, a checkout; see ``bench/check.py``."""

OBSERVED = {"_metrics": 1.01, "_traced": 1.02}
"""The ends of peers that are looked at, and what this may cost: their CPU over that of the same without."""

LEVELS = (5, 25, 50, 75)
"""The loads of an open loop, in percent of what the baseline carries."""

ASYNC = (
    FLOOR,
    "ours_async",
    "ours_routes",
    "ours_async_plain",
    "ours_async_no_reading",
    "ours_async_no_batching",
    "channels_async",
)
SYNC = (FLOOR, "ours_sync", "ours_sync_routes", "ours_sync_plain", "ours_sync_no_bridge", "channels_sync")
REDIS = (
    *(FLOOR_REDIS, "ours_pubsub", "ours_pubsub_plain", "ours_queue", "ours_queue_plain"),
    *("channels_pubsub", "channels_queue"),
)
NEIGHBOURS = ("broadcaster_memory", "socketio_memory")
OPEN = (FLOOR, "ours_async", "ours_routes", "ours_async_gc", "channels_async")
CURVES = (FLOOR, "ours_async", "ours_each", "ours_once", "channels_async", "fast_channels", *NEIGHBOURS)

DEFAULT_PEERS: dict[str, tuple[str, ...]] = {
    "A": CURVES,
    "A1": (
        *(*ASYNC, "ours_async_resumable", "ours_async_metrics", "ours_async_traced"),
        *("ours_each", "ours_once", *NEIGHBOURS, "fast_channels"),
    ),
    "A2": (*ASYNC, "ours_async_resumable", "ours_each", "ours_once", *NEIGHBOURS, "fast_channels"),
    "A3": (FLOOR, "ours_async", "ours_routes"),  # one message costs Channels half a minute there
    "A-typed": (FLOOR, "ours_typed", "chanx"),
    "A-manager": (FLOOR, "ours_manager"),
    "B": ASYNC,
    "B-long": (FLOOR, "ours_async", "ours_routes", "ours_async_plain", "channels_async"),
    "C": ("asgi", *ASYNC),
    "D": (*ASYNC, "ours_async_resumable"),
    "E": (*ASYNC, "ours_async_resumable"),
    "E-parked": ("ours_async_resumable",),
    "A1-sync": SYNC,
    "A2-sync": SYNC,
    "C-sync": SYNC,
    "F": SYNC,
    "M": SYNC,
    "G": (
        *(*REDIS, "ours_pubsub_routes", "ours_queue_routes", "ours_pubsub_resumable", "ours_queue_resumable"),
        *("ours_pubsub_metrics", "ours_pubsub_traced", "broadcaster_redis", "socketio_redis"),
    ),
    "I1": (FLOOR_REDIS, "ours_pubsub", "ours_pubsub_routes", "ours_pubsub_gc"),
    "I2": (FLOOR, "ours_async", "ours_routes", "ours_async_gc", "channels_async"),
    "I3": (
        *(FLOOR_REDIS, "ours_pubsub", "ours_pubsub_routes", "ours_pubsub_gc", "ours_pubsub_draining"),
        "channels_pubsub",
    ),
    "K": ("ours_async_resumable",),
    "L1": OPEN,
    "L2": (*CURVES, "ours_routes", "ours_async_gc"),
    "L3": (*OPEN, "ours_once"),
    "L4": (FLOOR_REDIS, "ours_pubsub", "ours_pubsub_routes", "ours_queue", "channels_pubsub"),
    "N-flood": (FLOOR, "ours_async", "ours_routes", "channels_async"),
    "N-slow": (FLOOR, "ours_async", "ours_routes", "channels_async"),
    "B-redis": REDIS,
    "O": ASYNC,
    "P": ("page_starlette", "page_subset", "page_django"),
    "R": ("ours_async", "ours_async_resumable"),
    "S-live": ("ours_live", "ours_live_gc"),
}


def fast_of(peer: str) -> str:
    """Return the value of ``CHANNEL_FAST`` for ``peer``."""
    named = peer.removesuffix(BEFORE).removesuffix(RESUMABLE)
    return next((said for end, said in FAST.items() if named.endswith(end)), "1")


def app_of(peer: str) -> str:
    """Return the name of the module in ``apps`` that ``peer`` runs."""
    for end in (BEFORE, RESUMABLE, COLLECTING, *FAST):
        peer = peer.removesuffix(end)
    return peer


def environment_of(peer: str) -> str:
    """Return the name of the environment in which ``peer`` runs."""
    for name, peers in ENVIRONMENTS.items():
        if peer in peers:
            return name
    return "ours"
