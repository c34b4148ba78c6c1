"""Sixty seconds of mutations of the corpus, at every surface at once.

It fails on a connection of a bystander that ends, an echo that takes 250 ms of the server's own time, an
exception that leaves the application, and memory that grows. Each step has a seed of its own. A failure names
the steps since the last look: `HOSTILE_SEED=… HOSTILE_STEPS=first-last` sends these alone. HOSTILE_SECONDS
changes the time.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from pathlib import Path

import pytest
from redis import Redis

from compat.layers.redis.keys import Keys
from tests.hostile.bystanders import Attacked, serve_consumers, serve_site
from tests.hostile.corpus import handshake
from tests.hostile.mutations import Attack, attack
from tests.hostile.payloads import PAYLOADS, Target
from tests.hostile.wire import poked
from tests.support.clients import Client
from tests.support.environments import Environment

STALL_MS = 250.0
SECONDS = float(os.environ.get("HOSTILE_SECONDS", "60"))
WARM = 0.4
"""The part of the run after which memory must not grow any more."""
GROWTH = 32 << 20
LOOK_EVERY = 10
SILENCE_S = 0.05


class Surfaces:
    """The servers, and how each kind of attack is carried out."""

    def __init__(self, site: Attacked, consumers: Attacked, redis: Redis, prefix: str) -> None:
        self.servers = {"site": site, "consumers": consumers}
        self.site, self.consumers, self.redis, self.prefix = site, consumers, redis, prefix

    def carry_out(self, step: Attack) -> None:
        if step.kind == "site":
            poked(self.site.server, step.data, SILENCE_S)
        elif step.kind == "handshake":
            poked(self.consumers.server, step.data, SILENCE_S)
        elif step.kind == "frames":
            poked(self.consumers.server, handshake(step.path) + step.data, SILENCE_S)
        else:
            target = Target(self.redis, step.path, Keys(f"{self.prefix}-{step.path}", 1), "room_target")
            with Client(self.consumers.server, f"/room/{step.path}/target/", origin=None):
                if step.payload >= 0:
                    PAYLOADS[step.payload].write(target)
                else:
                    target.deliver(step.data)

    def look(self, what: str) -> None:
        for name, attacked in self.servers.items():
            attacked.check(f"{name}: {what}", stall_ms=STALL_MS)

    def memory(self) -> dict[str, int]:
        return {name: attacked.memory() for name, attacked in self.servers.items()}


def chosen() -> tuple[str, range | None]:
    """The seed, and the steps that are to be repeated."""
    seed = os.environ.get("HOSTILE_SEED") or str(random.SystemRandom().randrange(10**9))
    first, dash, last = os.environ.get("HOSTILE_STEPS", "").partition("-")
    return seed, range(int(first), int(last if dash else first) + 1) if first else None


@pytest.mark.slow
@pytest.mark.holds_the_loop
@pytest.mark.timeout(600)
def test_sixty_seconds_of_mutations(bare: Environment, redis_url: str, tmp_path: Path) -> None:
    seed, steps = chosen()
    print(f"HOSTILE_SEED={seed}")
    prefix = f"fuzz{os.getpid()}"
    with (
        serve_site(bare, tmp_path / "site.log", timed=True) as site,
        serve_consumers(bare, tmp_path / "consumers.log", redis_url, prefix, timed=True) as consumers,
        Redis.from_url(redis_url) as redis,
    ):
        surfaces = Surfaces(site, consumers, redis, prefix)
        began, warm, since = time.monotonic(), None, 0
        number = 0
        for number in steps or itertools.count():
            surfaces.carry_out(attack(f"{seed}/{number}"))
            if number % LOOK_EVERY == LOOK_EVERY - 1 or steps:
                surfaces.look(f"HOSTILE_SEED={seed} HOSTILE_STEPS={since}-{number}")
                since = number + 1
            passed = time.monotonic() - began
            if warm is None and passed > WARM * SECONDS:
                warm = surfaces.memory()
            if not steps and passed > SECONDS:
                break
        after = surfaces.memory()
        print(f"{number + 1} steps; memory {warm} then {after}")
        for name, had in (warm or after).items():
            grown = after[name] - had
            assert grown < GROWTH, f"{name}: {grown} bytes more; HOSTILE_SEED={seed}, {number + 1} steps"
