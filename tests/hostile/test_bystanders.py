"""The watch sees what it should: a loop that is blocked, and not a machine that is busy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.bystanders import Attacked, serve_site
from tests.hostile.corpus import http
from tests.hostile.wire import answered
from tests.support.environments import Environment
from tests.support.processes import Process

STALL_MS = 250.0
HOG = "while True: pass"


@pytest.fixture
def site(bare: Environment, tmp_path: Path) -> Iterator[Attacked]:
    with serve_site(bare, tmp_path / "log") as attacked:
        attacked.bystanders()
        yield attacked


@pytest.mark.holds_the_loop
def test_a_blocked_loop_is_seen(site: Attacked) -> None:
    answered(site.server, http("GET", "/stall/?ms=600"))
    seen = site.bystanders()
    assert seen.longest_ms > STALL_MS and not seen.dead, seen


@pytest.mark.slow
@pytest.mark.holds_the_loop
def test_a_blocked_loop_is_seen_and_a_busy_machine_is_not(site: Attacked, tmp_path: Path) -> None:
    hogs = [Process([sys.executable, "-c", HOG], cwd=tmp_path, log=tmp_path / "hog.log") for _ in range(8)]
    try:
        for _ in range(100):
            answered(site.server, http("GET", "/query/"))
        seen = site.bystanders()
        assert seen.longest_ms < STALL_MS, seen
        answered(site.server, http("GET", "/stall/?ms=600"))
        assert site.bystanders().longest_ms > STALL_MS
    finally:
        for hog in hogs:
            hog.stop()


def test_a_traceback_that_leaves_the_application_is_seen(site: Attacked) -> None:
    with site.server.process.log_path.open("a") as log:
        log.write("ERROR:    Exception in ASGI application\n")
    with pytest.raises(AssertionError, match="left the application"):
        site.check("an exception", stall_ms=10_000)
