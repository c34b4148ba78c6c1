"""`channels-compat top`: once, as JSON, into a file, in a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.redis_server import RedisServer
from tests.support.servers import Server
from tests.support.waiting import until

APPLICATION = "tests.observe.counted_app:application"


def top(env: Environment, redis: RedisServer, *options: str) -> subprocess.CompletedProcess[str]:
    variables = {"REDIS_URL": redis.url, "COLUMNS": "200"}
    return env.run("channels-compat", "top", APPLICATION, *options, cwd=REPO, env=variables)


def once(env: Environment, redis: RedisServer, *options: str) -> subprocess.CompletedProcess[str]:
    """``top --once``, again if Redis has not answered it within a second."""

    def answered() -> list[subprocess.CompletedProcess[str]]:
        done = top(env, redis, "--once", *options)
        return [] if "Redis does not answer" in done.stderr else [done]

    return until(answered, "Redis answers in time")[0]


def seen(env: Environment, redis: RedisServer) -> list[dict[str, Any]]:
    done = once(env, redis, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["whole"] is True
    processes: list[dict[str, Any]] = found["processes"]
    return processes


def test_once(bare: Environment, alone: tuple[Server, RedisServer]) -> None:
    server, redis = alone
    with Client(server, "/queue", origin=None) as client:
        client.send_json("hello")
        assert client.receive_json() == "hello"

        def counted() -> list[dict[str, Any]]:
            return [one for one in seen(bare, redis) if one["counters"]["layers"]["default"]["sent"]]

        (process,) = until(counted, "the process has reported", deadline_s=30)
        assert process["name"] == f"{process['host']}:{process['pid']}"
        assert process["counters"]["connections"]["current"] == 1
        done = once(bare, redis)
    assert done.returncode == 0 and "\x1b" not in done.stdout
    head, line = done.stdout.splitlines()
    assert head.split() == [
        *("process", "up", "sockets", "new/s", "sent/s", "delivered/s", "lost", "waiting", "parked", "away")
    ]
    assert line.split()[2:] == ["1", "-", "-", "-", "0", "0", "0"]


def test_the_names_of_strangers_control_no_terminal(
    bare: Environment, alone: tuple[Server, RedisServer]
) -> None:
    _, redis = alone
    told = {"id": "1", "host": "\x1b]0;x\x07[red]", "pid": 1, "began": 1.0, "at": 2.0, "counters": {}}
    with Redis.from_url(redis.url) as client:
        client.hset("counted:reports", "odd", json.dumps(told))
        done = once(bare, redis)
        client.hdel("counted:reports", "odd")
    assert r"\x1b]0;x\x07[red]:1" in done.stdout and "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].split()[0] == "all"


def test_in_a_terminal_until_it_is_interrupted(bare: Environment, alone: tuple[Server, RedisServer]) -> None:
    _, redis = alone
    ours, theirs = pty.openpty()
    variables = {"REDIS_URL": redis.url, "COLUMNS": "120", "LINES": "20", "TERM": "xterm"}
    process = subprocess.Popen(
        [bare.path("channels-compat"), "top", APPLICATION, "--every", "0.2"],
        cwd=REPO,
        env=child_environment(variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    came = b""

    def screen() -> bytes:
        nonlocal came
        try:
            came += os.read(ours, 65536)
        except (BlockingIOError, OSError):
            pass
        return came

    try:
        until(lambda: screen().count(b"delivered/s") > 2, "the table comes again and again", deadline_s=30)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
        until(lambda: b"\x1b[?1049l" in screen(), "the terminal is as it was")  # a read has one page at most
        assert b"Traceback" not in came
    finally:
        process.kill()
        process.wait(15)
        os.close(ours)


def test_what_it_says_when_there_is_nothing_to_see(
    bare: Environment, redis_server: RedisServer, tmp_path: Path
) -> None:
    idle = once(bare, redis_server)
    assert idle.returncode == 1 and "no process reports" in idle.stderr
    redis_server.kill()
    away = top(bare, redis_server, "--once")
    assert away.returncode == 1 and "Redis does not answer" in away.stderr
    (tmp_path / "memory.py").write_text(
        "from compat.settings import configure\n"
        'configure(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})\n'
        "async def application(scope, receive, send): ...\n"
    )
    memory = bare.run("channels-compat", "top", "memory:application", cwd=tmp_path)
    assert memory.returncode == 1 and "no channel layer is on Redis" in memory.stderr
    for done in (idle, away, memory):
        assert "Traceback" not in done.stderr
