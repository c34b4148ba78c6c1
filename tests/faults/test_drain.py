"""SIGTERM under open sockets: spread closes, every disconnect() run, exit code 0; a second ends at once."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.paths import REPO
from tests.support.servers import Server, served, worker_options

OPEN = 200


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "tests.faults.drained_app:app", "--port", "{port}"]
    env = {"DRAIN": str(request.param), "CLOSED_TIMEOUT": "2" if request.param == 0.1 else "15"}
    with served(command, cwd=REPO, log=tmp_path / "server.log", env=env) as server:
        yield server


async def opened(server: Server, count: int) -> list[ClientConnection]:
    paths = ("/async", "/sync")
    return list(
        await asyncio.gather(
            *(connect(server.ws(paths[n % 2]), proxy=None, open_timeout=30) for n in range(count))
        )
    )


async def closed(client: ClientConnection) -> int:
    """The code that the server closes with, once it has."""
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), 30)
    code = client.protocol.close_code
    assert code is not None
    return code


@pytest.mark.parametrize("server", [4.0], indirect=True)
async def test_a_stop_closes_the_sockets_one_after_another(server: Server) -> None:
    clients = await opened(server, OPEN)
    endings = [asyncio.ensure_future(closed(client)) for client in clients]
    server.process.send_signal(signal.SIGTERM)
    await next(iter(asyncio.as_completed(endings)))
    with pytest.raises(InvalidStatus) as refused:
        await connect(server.ws("/async"), proxy=None)
    assert refused.value.response.status_code == 503
    assert set(await asyncio.gather(*endings)) == {1012}
    assert await asyncio.to_thread(server.process.wait, deadline_s=20) == 0
    log = server.log()
    assert log.count("disconnect 1012") == OPEN
    # By the server's own clock: it pauses between two closes, however busy the machine is.
    times = sorted(map(float, re.findall(r"closed at ([\d.]+)", log)))
    assert len(times) == OPEN
    assert times[-1] - times[0] > 2, "spread over the drain time, not all at once"
    # No moment sees a crowd come back: a tenth of the time has far fewer than all.
    busiest = max(sum(start <= time < start + 0.4 for time in times) for start in times)
    assert busiest < OPEN / 2


@pytest.mark.parametrize("server", [600.0], indirect=True)
async def test_a_second_signal_ends_at_once(server: Server) -> None:
    clients = await opened(server, 10)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.process.wait_log, "stopping: closing 10 websockets over 600 s")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.process.wait, deadline_s=20)
    assert "second signal: ending at once" in server.log()
    for client in clients:
        await client.close()


@pytest.mark.slow
async def test_workers_drain_also_if_the_signal_goes_to_all_processes(tmp_path: Path) -> None:
    """As systemd and Ctrl-C send it. Was: their parent's SIGTERM, which follows, ended the drain at once."""
    command = [sys.executable, "-m", "uvicorn", "tests.faults.drained_app:app", "--port", "{port}"]
    command += worker_options(2)
    with served(command, cwd=REPO, log=tmp_path / "server.log", env={"DRAIN": "1.5"}) as server:
        clients = await opened(server, 20)
        endings = [asyncio.ensure_future(closed(client)) for client in clients]
        os.killpg(server.process.pid, signal.SIGTERM)
        assert set(await asyncio.gather(*endings)) == {1012}
        await asyncio.to_thread(server.process.wait, deadline_s=20)
        log = server.log()
    assert "ending at once" not in log and log.count("disconnect 1012") == 20


@pytest.mark.parametrize("server", [0.0], indirect=True)
async def test_without_a_drain_time_the_server_stops_as_ever(server: Server) -> None:
    clients = await opened(server, 10)
    server.process.send_signal(signal.SIGTERM)
    ended = await asyncio.gather(*(closed(client) for client in clients))
    assert set(ended) == {1012}
    await asyncio.to_thread(server.process.wait, deadline_s=20)
    assert server.log().count("disconnect 1012") == 10


@pytest.mark.parametrize("server", [0.1], indirect=True)
@pytest.mark.parametrize(
    ("where", "status", "words"),
    [("/stuck", 0, "cancelled what had not ended"), ("/blocked", 1, "ending without these, which block")],
)
async def test_a_disconnect_that_never_returns_keeps_no_process_alive(
    server: Server, where: str, status: int, words: str
) -> None:
    client = await connect(server.ws(where), proxy=None, open_timeout=30)
    server.process.send_signal(signal.SIGTERM)
    assert await closed(client) == 1012
    assert await asyncio.to_thread(server.process.wait, deadline_s=45) == status
    log = server.log()
    assert log.count("disconnect 1012") == 1
    assert words in log and f"{where.strip('/').capitalize()} at '{where}'" in log


@pytest.mark.parametrize("server", [0.1], indirect=True)
async def test_a_second_signal_waits_for_no_thread(server: Server) -> None:
    client = await connect(server.ws("/blocked"), proxy=None, open_timeout=30)
    server.process.send_signal(signal.SIGTERM)
    await closed(client)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(server.process.wait, deadline_s=30)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("fast", ["1", "0"])
def test_a_server_that_leaves_its_loop_does_not_keep_the_process_alive(kind: str, fast: str) -> None:
    """As granian does: its connections are ended before the interpreter waits for their threads."""
    command = [sys.executable, "-m", "tests.faults.left_loop", kind]
    env = {**os.environ, "CHANNEL_FAST": fast}
    ended = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "disconnect 1001\n"
