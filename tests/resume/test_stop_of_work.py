"""A server stops while a consumer has frames to work off: what it has acknowledged has been begun with."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fallback import Posting
from tests.support.paths import REPO
from tests.support.resuming import Resuming
from tests.support.servers import Server, served
from tests.support.waiting import until_async

FRAMES = 20
"""They take longer than a stop."""
COMMAND = (sys.executable, "-m", "uvicorn", "tests.resume.working_app:app", "--port", "{port}")


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """The file in which the consumer notes what it begins with."""
    return tmp_path / "done"


@pytest.fixture
def server(tmp_path: Path, done: Path) -> Iterator[Server]:
    env = {"PYTHONPATH": os.fspath(REPO), "WORK_DONE": os.fspath(done)}
    with served(COMMAND, cwd=REPO, log=tmp_path / "log", env=env) as server:
        yield server


@pytest.mark.slow
async def test_a_stop_acknowledges_to_a_client_that_posts_only_what_was_taken(
    server: Server, done: Path
) -> None:
    """Was: all that had come, and the server did not wait for it to be handled.

    Nor did it wait for the handler that ran: the process ended in the middle of it, without a disconnect().
    """
    async with Posting(server, "/") as client:
        await client.ask()
        await client.hello()
        await client.post(*(f"{number}" for number in range(FRAMES)))
        server.process.send_signal(signal.SIGTERM)
        await client.rest()
    await asyncio.to_thread(server.process.wait)
    acknowledged = max((one["n"] for one in client.controls if one["type"] == "ack"), default=0)
    *begun, last = done.read_text().splitlines()
    assert last == "disconnect"
    assert len(begun) < FRAMES, "else there is nothing to see"
    assert begun[:acknowledged] == [f"{number}" for number in range(acknowledged)]


@pytest.mark.slow
async def test_a_stop_waits_for_an_endpoint_whose_client_began_with_a_request(
    server: Server, done: Path
) -> None:
    """Was: the process ended while it worked, and nothing after that ran, not even its ``finally``."""
    async with Posting(server, "/endpoint/") as client:
        await client.ask()
        await client.hello()
        await client.post("work")
        await until_async(done.exists, "it works")
        server.process.send_signal(signal.SIGTERM)
        await client.rest()
    await asyncio.to_thread(server.process.wait)
    assert done.read_text().splitlines() == ["work", "disconnect"]


@pytest.mark.slow
async def test_a_stop_waits_for_a_consumer_whose_client_has_a_socket_now(server: Server, done: Path) -> None:
    """It began with a request. Was: the process ended during the handler, without a disconnect()."""
    async with Posting(server, "/") as posting:
        await posting.ask()
        await posting.hello()
        client = Resuming(server, "/")
        client.ticket = posting.ticket
        assert await client.back() == "all"
        await client.send("work")
        await until_async(done.exists, "it works")
        server.process.send_signal(signal.SIGTERM)
        assert await client.closed() == 1012
    await asyncio.to_thread(server.process.wait)
    assert done.read_text().splitlines() == ["work", "disconnect"]
