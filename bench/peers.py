"""Who is measured: the app of each peer and the environment it runs in, and which peers a case has."""

from __future__ import annotations

__all__ = ["DEFAULT_PEERS", "ENVIRONMENTS", "FLOOR", "FLOOR_REDIS", "environment_of"]

ENVIRONMENTS = {
    "channels": ("channels_async", "channels_sync", "channels_pubsub", "channels_queue"),
    "others": (
        "broadcaster_memory",
        "broadcaster_redis",
        "chanx",
        "fast_channels",
        "socketio_memory",
        "socketio_redis",
    ),
}
"""Environment: the apps that run in it. Everything else runs in "ours"."""

FLOOR, FLOOR_REDIS = "starlette", "starlette_redis"
"""The bare loops: a Starlette endpoint, sockets in a set, nothing of Channels."""

ASYNC = (FLOOR, "ours_async", "channels_async")
SYNC = (FLOOR, "ours_sync", "channels_sync")
REDIS = (FLOOR_REDIS, "ours_pubsub", "ours_queue", "channels_pubsub", "channels_queue")
NEIGHBOURS = ("broadcaster_memory", "socketio_memory")

DEFAULT_PEERS: dict[str, tuple[str, ...]] = {
    "A1": (*ASYNC, "ours_once", *NEIGHBOURS, "fast_channels"),
    "A2": (*ASYNC, "ours_once", *NEIGHBOURS, "fast_channels"),
    "A3": (FLOOR, "ours_async"),  # one message costs Channels half a minute there
    "A-typed": (FLOOR, "ours_typed", "chanx"),
    "A-manager": (FLOOR, "ours_manager"),
    "B": ASYNC,
    "C": ASYNC,
    "D": ASYNC,
    "E": ASYNC,
    "A1-sync": SYNC,
    "A2-sync": SYNC,
    "C-sync": SYNC,
    "F": SYNC,
    "M": SYNC,
    "G": (*REDIS, "broadcaster_redis", "socketio_redis"),
    "B-redis": REDIS,
    "H": (),  # see script_send.py
    "O": ASYNC,
}


def environment_of(peer: str) -> str:
    """The name of the environment that ``peer`` runs in."""
    for name, peers in ENVIRONMENTS.items():
        if peer in peers:
            return name
    return "ours"
