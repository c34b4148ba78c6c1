"""What a run does, drawn from its seed: the servers, the pace, and the faults one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CLUSTERS", "LAYERS", "ROOMS", "Plan", "Step", "drawn"]

LAYERS = ("memory", "queue", "pubsub", "streams")
CLUSTERS = ("queue-cluster", "pubsub-cluster", "streams-cluster")
"""The same on a Redis Cluster."""
NETWORK = (
    "cut",
    "cut everyone",
    "cut midway",
    "half-close",
    "hold",
    "refuse",
    "stall",
    "strand",
    "trickle",
)
PROCESSES = ("kill a worker", "restart", "end a worker", "replace the workers")
ALONE = PROCESSES[:2]
"""What can happen to a server of one process."""
REDIS: tuple[tuple[str, ...], ...] = (
    (),
    ("pause",),
    ("drop connections",),
    ("pause", "drop connections"),
    ("pause", "restart"),
    ("flush",),
)
"""Combinations: after a restart or a flush Redis is empty, and less can be asked of the run."""
CLUSTER: tuple[tuple[str, ...], ...] = (
    ("move a slot",),
    ("fail over",),
    ("move a slot", "fail over", "drop connections"),
    ("take over", "move a slot"),
    ("kill a master", "move a slot"),
    ("pause a master", "fail over"),
    ("lose the last writes", "move a slot"),
)
"""The same for a cluster; the first ones lose nothing."""
MASTERS = 3
ROOMS = ("even", "odd")


class Step(NamedTuple):
    """A fault, and what it is about."""

    pause: float
    """Seconds since the fault before is over: they are the load's own pace, and wait for nothing."""
    what: str
    which: int
    """Which client, worker or Redis, counted over those that there are."""
    seconds: float
    """How long it lasts, if it does."""
    pieces: int
    """After so many pieces of data a link is cut; the more, the faster a slow one is."""


@dataclass(frozen=True)
class Plan:
    """All that a run does of itself. What comes of it is up to the machine as well."""

    seed: int
    layer: str
    seconds: float
    """How long faults happen."""
    workers: int
    hosts: int
    """How many Redis, or masters of a cluster."""
    park: float
    """CHANNEL_RESUME_SECONDS."""
    drain: float
    """DRAIN_SECONDS."""
    websockets: str
    """uvicorn's ``--ws``."""
    fast: str
    """CHANNEL_FAST."""
    lanes: dict[str, list[Step]]
    """The faults of each kind: one after the other, and the lanes at the same time."""

    @property
    def in_cluster(self) -> bool:
        return self.layer in CLUSTERS

    @property
    def kind(self) -> str:
        """The layer, wherever it is."""
        return self.layer.partition("-")[0]

    def __str__(self) -> str:
        kinds = sorted({step.what for steps in self.lanes.values() for step in steps})
        return (
            f"seed {self.seed}, {self.layer}, {self.seconds:g} s: {self.workers} workers, {self.hosts} Redis,"
            f" CHANNEL_RESUME_SECONDS={self.park:g} DRAIN_SECONDS={self.drain:g} CHANNEL_FAST={self.fast}"
            f" --ws {self.websockets}; faults: {', '.join(kinds)}"
        )


def drawn(seed: int, layer: str, seconds: float) -> Plan:
    """The plan of a seed: few kinds of faults in each, so that those come often."""
    chance = random.Random(f"{seed} {layer}")
    alone = layer == "memory"
    gap = chance.choice([0.5, 1.0, 2.5])
    network = ["cut", *chance.sample(NETWORK[1:], 3)]
    processes = chance.sample(ALONE if alone else PROCESSES, 2)
    redis = chance.choice(CLUSTER if layer in CLUSTERS else REDIS)
    kinds: dict[str, tuple[Sequence[str], float]] = {
        "network 0": (network, gap),
        "network 1": (network, gap),
        "processes": (processes, 5.0),
    }
    if redis and not alone:
        kinds["redis"] = (redis, 5.0)
    # Each from a source of its own, so that a longer run begins as a shorter one of the same seed.
    lanes = {
        lane: _steps(random.Random(f"{seed} {layer} {lane}"), seconds, *which)
        for lane, which in kinds.items()
    }
    return Plan(
        seed,
        layer,
        seconds,
        workers=1 if alone else chance.randint(2, 3),
        hosts=0 if alone else MASTERS if layer in CLUSTERS else chance.choice([1, 1, 2]),
        park=chance.choice([25.0, 25.0, 6.0]),
        drain=chance.choice([0.0, 0.0, 3.0]),
        websockets=chance.choice(["auto", "auto", "wsproto", "websockets-sansio"]),
        fast=chance.choice(["1", "1", "0"]),
        lanes=lanes,
    )


def _steps(chance: random.Random, seconds: float, kinds: Sequence[str], gap: float) -> list[Step]:
    """Enough of them for so many seconds; ``gap`` is the mean of the pauses."""
    steps: list[Step] = []
    at = 0.0
    while at < seconds:
        lasting = chance.choice([0.2, 1.0, 2.0, 4.0, chance.uniform(1.0, 10.0)])
        steps.append(
            Step(
                round(chance.expovariate(1 / gap), 2),
                chance.choice(kinds),
                chance.randrange(1000),
                round(lasting, 2),
                chance.randint(1, 8),
            )
        )
        at += steps[-1].pause
    return steps
