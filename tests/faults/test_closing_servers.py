"""Two servers on one Redis: what one of them closes ends in both, with the code and the reason."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.clients import Client, get
from tests.support.layers import unique_prefix
from tests.support.paths import REPO
from tests.support.servers import Server, served

COMMAND = [sys.executable, "-m", "uvicorn", "tests.faults.closing_app:app", "--port", "{port}"]
CLOSED = (4001, "closed from outside")


@pytest.fixture(scope="module", params=["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
def servers(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    folder = tmp_path_factory.mktemp("closing")
    env = {
        "CLOSING_REDIS": redis_url,
        "CLOSING_PREFIX": unique_prefix(),
        "CLOSING_LAYER": f"compat.layers.redis.{request.param}",
        "PYTHONPATH": os.fspath(REPO),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(served(COMMAND, cwd=REPO, log=folder / f"{number}.log", env=env))
            for number in range(2)
        ]


def joined(server: Server, where: str) -> Client:
    client = Client(server, where)
    assert client.receive() == "joined"
    return client


def test_a_users_sockets_end_in_every_process(servers: list[Server]) -> None:
    anns = [joined(server, f"/{flavour}?ann") for server in servers for flavour in ("async", "sync")]
    with joined(servers[0], "/async?bob") as bob:
        assert get(servers[1], "/close/user/ann").status_code == 200
        assert [client.wait_closed() for client in anns] == [CLOSED] * 4
        assert get(servers[1], "/close/user/bob").status_code == 200
        assert bob.wait_closed() == CLOSED, "and nothing before"


def test_a_groups_sockets_end_in_every_process(servers: list[Server]) -> None:
    clients = [
        joined(server, f"/{flavour}?{n}") for n, server in enumerate(servers) for flavour in ("async", "sync")
    ]
    assert get(servers[0], "/close/group/everybody").status_code == 200
    assert [client.wait_closed() for client in clients] == [CLOSED] * 4
    for server in servers:
        assert "Traceback" not in server.log()
