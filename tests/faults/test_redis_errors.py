"""What the layers raise without Redis is also what channels_redis would raise: code that catches redis-py's
errors around its sends goes on as before.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis.exceptions
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from compat import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.redis.reasons import kind_of, reason_of, told
from tests.faults.rooms import QUICK
from tests.support.layers import close
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer

LAYERS = [RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer]
MESSAGE = {"type": "chat.message", "text": "x" * 100}


async def raised(of: Any, url: str) -> LayerUnavailable:
    layer = of(hosts=[url])
    with pytest.raises(LayerUnavailable) as caught:
        await layer.group_send("room", MESSAGE)
    await close(layer)
    return caught.value


@pytest.mark.parametrize("of", LAYERS)
async def test_without_a_server(of: Any) -> None:
    error = await raised(of, f"redis://127.0.0.1:{free_port()}")
    assert isinstance(error, redis.exceptions.ConnectionError), type(error).__mro__
    assert "connection refused" in str(error) and str(error) in repr(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.reason) == (type(error), str(error), "connection refused")


@pytest.mark.parametrize("of", LAYERS)
async def test_a_connection_that_ends(of: Any, redis_server: RedisServer) -> None:
    layer = of(hosts=[redis_server.url + QUICK])
    await layer.group_send("room", MESSAGE)
    redis_server.kill()
    for _ in range(2):
        with pytest.raises(redis.exceptions.ConnectionError) as caught:
            await layer.group_send("room", MESSAGE)
        assert isinstance(caught.value, LayerUnavailable)
    await close(layer)


@pytest.mark.parametrize("of", LAYERS)
async def test_a_server_that_does_not_answer(of: Any, redis_server: RedisServer) -> None:
    layer = of(hosts=[redis_server.url + QUICK])
    await layer.group_send("room", MESSAGE)
    redis_server.pause()
    with pytest.raises(redis.exceptions.TimeoutError) as caught:
        await layer.group_send("room", MESSAGE)
    assert isinstance(caught.value, LayerUnavailable)
    assert isinstance(await raised(of, redis_server.url + QUICK), redis.exceptions.TimeoutError)
    redis_server.resume()
    await close(layer)


def secret(server: Any) -> None:
    server.config_set("requirepass", "right")


def full(server: Any) -> None:
    server.config_set("maxmemory", 1)


def few_rights(server: Any) -> None:
    server.acl_setuser(
        "default", enabled=True, nopass=True, categories=["+@all"], keys=["other*"], reset_keys=True
    )


def replica(server: Any) -> None:
    server.replicaof("127.0.0.1", free_port())


def busy(server: Any) -> None:
    server.config_set("lua-time-limit", 1)
    port = server.get_connection_kwargs()["port"]
    with Redis(port=port, socket_timeout=0.1, retry=Retry(NoBackoff(), 0)) as other:
        with contextlib.suppress(redis.exceptions.TimeoutError):  # what it runs has no end
            other.eval("while true do end", 0)


@pytest.mark.parametrize(
    ("state", "kind", "advice"),
    [
        (
            secret,
            redis.exceptions.AuthenticationError,
            "Correct the user and the password in CONFIG['hosts']",
        ),
        (full, redis.exceptions.OutOfMemoryError, "raise its maxmemory, or lower capacity and expiry"),
        (few_rights, redis.exceptions.NoPermissionError, "Give the user the rights (ACL SETUSER)"),
        (replica, redis.exceptions.ReadOnlyError, "name its master, or use sentinels"),
        (busy, redis.exceptions.ResponseError, "end it with SCRIPT KILL"),
    ],
)
async def test_a_server_that_refuses(
    redis_server: RedisServer, state: Callable[[Any], None], kind: type[Exception], advice: str
) -> None:
    """Each kind of refusal has its own advice: to start a server would not help."""
    with Redis.from_url(redis_server.url) as wire:
        state(wire)
        layer = RedisChannelLayer(hosts=[redis_server.url])
        with pytest.raises(kind) as caught:
            await layer.send("mail", MESSAGE)
        await close(layer)
    redis_server.kill()  # one that is busy does not end in order
    assert isinstance(caught.value, LayerUnavailable)
    assert advice in str(caught.value) and "Start redis-server" not in str(caught.value)


async def test_a_database_that_it_does_not_have(redis_server: RedisServer) -> None:
    error = await raised(RedisChannelLayer, f"{redis_server.url}/99")
    assert isinstance(error, redis.exceptions.ResponseError)
    assert "DB index is out of range. Name a database that it has" in str(error)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            redis.exceptions.BusyLoadingError("Redis is loading the dataset"),
            "Wait until it has read its data",
        ),
        (redis.exceptions.ConnectionError("max number of clients reached"), "Raise its maxclients"),
    ],
)
def test_a_server_that_cannot_answer_yet(error: Exception, advice: str) -> None:
    reason = reason_of(error)
    assert issubclass(kind_of(reason), type(error))
    assert told(reason, "Start it").startswith(f"{error}. {advice}")


@pytest.mark.parametrize("of", LAYERS)
def test_code_without_an_event_loop(of: Any, tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    layer = of(hosts=[server.url + QUICK])
    for _ in range(5):  # from the second on over a line of its own
        layer.group_send_sync("room", MESSAGE)
    server.kill()
    for _ in range(3):
        with pytest.raises(redis.exceptions.ConnectionError) as caught:
            layer.group_send_sync("room", MESSAGE)
        assert isinstance(caught.value, LayerUnavailable)
