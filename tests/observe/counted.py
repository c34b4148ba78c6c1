"""Runs counted_app.py and live_app.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, served, worker_options

__all__ = ["workers"]

UVICORN = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning")


@contextmanager
def workers(
    env: Environment,
    redis: RedisServer,
    log: Path,
    count: int,
    application: str = "tests.observe.counted_app:application",
) -> Iterator[Server]:
    command = [
        env.path("uvicorn"),
        application,
        *UVICORN,
        *worker_options(count),
    ]
    with served(command, cwd=REPO, log=log, env={"REDIS_URL": redis.url}) as server:
        yield server
