"""Servers of ``tests.history.app`` on one layer, and what to ask them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.layers import unique_prefix
from tests.support.paths import REPO
from tests.support.resuming import Resuming
from tests.support.servers import Server, served

__all__ = ["LAYERS", "RULE", "SECRET", "Fleet", "fleet_on", "room"]

SECRET = "a key that only these servers have"
LAYERS = {
    "queue": "compat.layers.redis.core.RedisChannelLayer",
    "pubsub": "compat.layers.redis.pubsub.RedisPubSubChannelLayer",
    "streams": "compat.layers.redis.RedisStreamsChannelLayer",
}
RULE: dict[str, Any] = {"count": 5000, "on_join": 5}
DEADLINE_S = 60.0
COMMAND = (sys.executable, "-m", "uvicorn", "tests.history.app:app", "--log-level", "warning")
_numbers = itertools.count(1)


def room(what: str) -> str:
    """A room that no other test has."""
    return f"{what}{next(_numbers)}"


class Fleet:
    """Servers on one layer; more of them may be started."""

    def __init__(self, stack: ExitStack, folder: Path, env: dict[str, str]) -> None:
        self._stack = stack
        self._folder = folder
        self.env = env
        self.servers: list[Server] = []

    def start(self, *options: str, **env: str) -> Server:
        """One more server."""
        log = self._folder / f"server{next(_numbers)}.log"
        environment = {"PYTHONPATH": os.fspath(REPO), **self.env, **env}
        command = [*COMMAND, "--port", "{port}", *options]
        server = self._stack.enter_context(served(command, cwd=REPO, log=log, env=environment))
        self.servers.append(server)
        return server

    async def ask(self, server: Server, page: str, **query: Any) -> Any:
        """What a page of a server answers."""
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=DEADLINE_S) as client:
            answer = await client.get(server.http(f"/{page}"), params=query)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{server.log()}"
        return answer.json()

    async def say(self, server: Server, where: str, first: int, last: int) -> None:
        """Send the numbers from ``first`` to ``last`` to a room."""
        await self.ask(server, "say", room=where, first=first, last=last)

    def client(self, server: Server, flavour: str, where: str) -> Resuming:
        """A client that has not connected yet."""
        return Resuming(server, f"/{flavour}/{where}/")

    def no_failure(self) -> None:
        """No server has logged a traceback."""
        for server in self.servers:
            log = server.log()
            assert "Traceback" not in log and "never retrieved" not in log, log


@contextmanager
def fleet_on(kind: str, redis_url: str, folder: Path, rule: dict[str, Any] | None = None) -> Iterator[Fleet]:
    """A fleet without a server, on a Redis that may die; ``rule`` of the groups ``chat_*``."""
    env = {
        "HISTORY_SECRET": SECRET,
        "HISTORY_LAYER": LAYERS[kind],
        "HISTORY_REDIS": redis_url,
        "HISTORY_PREFIX": unique_prefix(),
        "HISTORY_RULE": json.dumps(RULE if rule is None else rule),
    }
    with contextlib.ExitStack() as stack:
        yield Fleet(stack, folder, env)
