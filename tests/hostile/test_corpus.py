"""The whole corpus, once, at real servers; see the package's docstring."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

from compat.layers.redis.keys import Keys
from tests.hostile.bystanders import LAYERS, Attacked, serve_consumers, serve_site
from tests.hostile.corpus import Entry, Frames, Handshake, Payload, Request
from tests.hostile.frames import FRAMES, HANDSHAKES, SITE_HANDSHAKES
from tests.hostile.multipart import MULTIPART
from tests.hostile.payloads import PAYLOADS, Target
from tests.hostile.requests import REQUESTS
from tests.hostile.wire import abandoned, answered, conversed
from tests.support.clients import Client
from tests.support.environments import Environment

pytestmark = pytest.mark.holds_the_loop  # bystanders watch it

STALL_MS = 1500.0
"""Generous, for what it excludes takes seconds; the fuzz run looks closer."""
PLENTY = 48 << 20


def parameters(entries: Iterable[Entry]) -> list[Any]:
    return [
        pytest.param(entry, id=entry.name.replace("::", ": ")[:80], marks=_marks(entry)) for entry in entries
    ]


def _marks(entry: Entry) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=entry.xfail, strict=True, run=not entry.heavy)] if entry.xfail else []


@pytest.fixture(scope="module")
def site(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with serve_site(bare, tmp_path_factory.mktemp("site") / "log") as attacked:
        yield attacked


@pytest.fixture(scope="module")
def debugged_site(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with serve_site(bare, tmp_path_factory.mktemp("debugged") / "log", debug=True) as attacked:
        yield attacked


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"hostile{os.getpid()}"


@pytest.fixture(scope="module")
def consumers(
    bare: Environment, tmp_path_factory: pytest.TempPathFactory, redis_url: str, prefix: str
) -> Iterator[Attacked]:
    log = tmp_path_factory.mktemp("consumers") / "log"
    with serve_consumers(bare, log, redis_url, prefix, timed=True) as attacked:
        yield attacked


def send_request(entry: Request, attacked: Attacked) -> None:
    data = entry.data()
    for one in [data] if isinstance(data, bytes) else data:
        if entry.abandoned:
            abandoned(attacked.server, one)
            continue
        status, came = answered(attacked.server, one)
        assert status in entry.statuses, (
            f"{entry.name}: {one[:100]!r} was answered by {status}: {came[:300]!r}\n"
            f"{attacked.new_log()[-5000:]}"
        )


@pytest.mark.parametrize("entry", parameters([*REQUESTS, *MULTIPART]))
def test_requests(entry: Request, site: Attacked) -> None:
    send_request(entry, site)
    site.check(entry.name, stall_ms=STALL_MS, errors=entry.logs)


@pytest.mark.parametrize("entry", parameters(one for one in REQUESTS if one.debug))
def test_requests_while_debugging(entry: Request, debugged_site: Attacked) -> None:
    send_request(entry, debugged_site)
    debugged_site.check(entry.name, stall_ms=STALL_MS, errors=entry.logs)


def send_handshake(entry: Handshake, attacked: Attacked) -> None:
    if entry.abandoned:
        abandoned(attacked.server, entry.data())
        return
    status, came = answered(attacked.server, entry.data())
    assert status in entry.statuses, (
        f"{entry.name} was answered by {status}: {came[:300]!r}\n{attacked.new_log()[-5000:]}"
    )


@pytest.mark.parametrize("entry", parameters(SITE_HANDSHAKES))
def test_handshakes_of_the_site(entry: Handshake, site: Attacked) -> None:
    send_handshake(entry, site)
    site.check(entry.name, stall_ms=STALL_MS, errors=())


@pytest.mark.parametrize("entry", parameters(HANDSHAKES))
def test_handshakes(entry: Handshake, consumers: Attacked) -> None:
    send_handshake(entry, consumers)
    consumers.check(entry.name, stall_ms=STALL_MS, errors=())


@pytest.mark.parametrize("entry", parameters(FRAMES))
def test_frames(entry: Frames, consumers: Attacked) -> None:
    data = entry.data()
    for path in entry.paths:
        conversed(consumers.server, path, data)
    consumers.check(entry.name, stall_ms=STALL_MS)


@pytest.fixture(scope="module")
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def sentinels(consumers: Attacked) -> Iterator[dict[str, Client]]:
    """A member of another room on each layer: what it says comes back after what was written before."""
    with ExitStack() as stack:
        paths = {alias: f"/room/{alias}/sentinel/" for alias in LAYERS}
        yield {
            alias: stack.enter_context(Client(consumers.server, path, origin=None))
            for alias, path in paths.items()
        }


@pytest.mark.parametrize("entry", parameters(PAYLOADS))
def test_payloads(
    entry: Payload, consumers: Attacked, sentinels: dict[str, Client], redis: Redis, prefix: str
) -> None:
    """Written where a member of the room "target" reads; the member may end, nobody else may."""
    for alias in entry.layers:
        with Client(consumers.server, f"/room/{alias}/target/", origin=None):
            entry.write(Target(redis, alias, Keys(f"{prefix}-{alias}", 1), "room_target"))
            for number in range(2):
                sentinels[alias].send_json(number)
                assert sentinels[alias].receive_json() == number, f"{entry.name} on {alias}"
    consumers.check(entry.name, stall_ms=STALL_MS)


def test_memory_is_flat(site: Attacked, consumers: Attacked) -> None:
    """What has been sent before is sent once more, but for the large ones: nothing of it stays."""
    before = site.memory(), consumers.memory()
    for request in [*REQUESTS, *MULTIPART]:
        if not request.heavy and not request.xfail:
            send_request(request, site)
    for handshake in HANDSHAKES:
        send_handshake(handshake, consumers)
    for frames in FRAMES:
        if not frames.xfail:
            conversed(consumers.server, frames.paths[0], frames.data())
    site.check("the corpus again", stall_ms=STALL_MS)
    consumers.check("the corpus again", stall_ms=STALL_MS)
    grown = site.memory() - before[0], consumers.memory() - before[1]
    assert max(grown) < PLENTY, f"{grown} bytes more after the corpus was sent again"
