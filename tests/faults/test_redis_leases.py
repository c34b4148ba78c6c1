"""A server that is killed leaves its groups within the lease; who stays open stays in, however long."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.clients import Client
from tests.support.paths import REPO
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, served
from tests.support.waiting import until

LEASE_S = 4
GROUP_EXPIRY_S = 3
GROUPS = ["room", *(f"room{number}" for number in range(30))]


@contextmanager
def serving(cls: type, url: str, folder: Path, name: str, **options: Any) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "tests.faults.member_app:app", "--port", "{port}"]
    env = {
        "LAYER": f"{cls.__module__}.{cls.__qualname__}",
        "REDIS": url,
        "PREFIX": "asgi",
        "OPTIONS": json.dumps(options),
    }
    with served(command, cwd=REPO, log=folder / f"{name}.log", env=env) as server:
        yield server


@pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
def test_a_server_is_killed(cls: Any, redis_server: RedisServer, tmp_path: Path) -> None:
    """Nobody else's members are touched, and nothing of it is left in Redis."""
    options = {"lease": LEASE_S}
    with contextlib.ExitStack() as stack:
        dying, staying = (
            stack.enter_context(serving(cls, redis_server.url, tmp_path, name, **options))
            for name in ("dying", "staying")
        )
        wire = stack.enter_context(redis.Redis.from_url(redis_server.url))
        clients = [Client(dying, "/") for _ in range(5)]
        kept = stack.enter_context(Client(staying, "/"))
        sender = cls(hosts=[redis_server.url])

        def sizes() -> set[int]:
            if cls is RedisPubSubChannelLayer:
                return {
                    count for _, count in wire.pubsub_numsub(*(f"asgi__group__{name}" for name in GROUPS))
                }
            return {wire.zcard(f"asgi:group:{name}") for name in GROUPS}

        both, one = ({2}, {1}) if cls is RedisPubSubChannelLayer else ({6}, {1})
        until(lambda: sizes() == both, "all are in")
        dying.process.send_signal(signal.SIGKILL)
        dying.process.wait()
        killed = time.monotonic()
        until(lambda: sizes() == one, "the dead have left", deadline_s=60)
        took = time.monotonic() - killed
        sender.group_send_sync("room", {"type": "numbered", "n": 1})
        assert kept.receive_json() == 1
        if cls is RedisChannelLayer:
            assert wire.zcard("asgi:leases") == 1 and len(wire.keys("asgi:joined:*")) == 1
            assert took < 2 * LEASE_S, "the lease, and one turn of somebody who cleans up"
        for client in clients:
            client.drop()
        async_to_sync(sender.close_pools)()


def test_a_connection_that_is_open_for_three_times_the_expiry(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """With and without traffic; and not because nothing ever expires."""
    options = {"group_expiry": GROUP_EXPIRY_S, "lease": 60}
    with (
        serving(RedisChannelLayer, redis_server.url, tmp_path, "server", **options) as server,
        redis.Redis.from_url(redis_server.url) as wire,
        Client(server, "/") as client,
    ):
        sender = RedisChannelLayer(hosts=[redis_server.url], group_expiry=GROUP_EXPIRY_S)
        until(lambda: wire.zcard("asgi:group:room29") == 1, "it is in")
        sender.group_add_sync("room", "plain")
        ends = time.monotonic() + 3.2 * GROUP_EXPIRY_S
        number = 0
        while time.monotonic() < ends:
            sender.group_send_sync("room", {"type": "numbered", "n": number})
            assert client.receive_json() == number
            number += 1
            time.sleep(0.2)
        assert len(wire.zrange("asgi:group:room", 0, -1)) == 1, "who is read by nobody has expired"
        sender.group_send_sync("room29", {"type": "numbered", "n": "quiet until now"})
        assert client.receive_json() == "quiet until now"
        async_to_sync(sender.close_pools)()
