"""A server that reports, and the Redis that it reports to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.observe.counted import workers
from tests.support.environments import Environment
from tests.support.redis_server import RedisServer
from tests.support.servers import Server


@pytest.fixture(scope="module")
def alone(
    bare: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, RedisServer]]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    with workers(bare, redis, tmp_path_factory.mktemp("alone") / "log", 1) as server:
        yield server, redis
    redis.stop()
