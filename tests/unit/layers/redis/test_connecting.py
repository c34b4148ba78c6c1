"""Ways to a Redis: unix sockets, TLS, users with few rights, database numbers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, people
from tests.support.layers import close
from tests.support.logs import recorded
from tests.support.redis_server import RedisServer
from tests.support.tls import tls_server
from tests.support.waiting import until_async

BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])


async def talk(cls: Any, host: Any) -> None:
    """A conversation that takes every kind of connection."""
    layer = cls(hosts=[host])
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "group"})
    await layer.send(channel, {"type": "direct"})
    assert await asyncio.wait_for(layer.receive(channel), 20) == {"type": "group"}
    assert await asyncio.wait_for(layer.receive(channel), 20) == {"type": "direct"}
    if cls is RedisChannelLayer:
        waiting = asyncio.ensure_future(layer.receive("plain"))
        await layer.send("plain", {"type": "plain"})
        assert await asyncio.wait_for(waiting, 20) == {"type": "plain"}
    await close(layer)


@BOTH
async def test_a_unix_socket(cls: Any, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    server = RedisServer(tmp_path, "--unixsocket", str(path))
    try:
        for host in (f"unix://{path}", f"unix://{path}?db=1", {"path": str(path)}):
            await talk(cls, host)
        with pytest.raises(LayerUnavailable, match="no such file or directory"):
            await talk(cls, f"unix://{tmp_path / 'nothing.sock'}")
    finally:
        server.stop()


@BOTH
async def test_tls(cls: Any, tmp_path: Path) -> None:
    server, port, cert = tls_server(tmp_path)
    try:
        await talk(cls, f"rediss://127.0.0.1:{port}?ssl_ca_certs={cert}")
        await talk(cls, {"address": f"rediss://127.0.0.1:{port}", "ssl_cert_reqs": "none"})
        await talk(cls, {"host": "127.0.0.1", "port": port, "ssl": True, "ssl_ca_certs": str(cert)})
        with pytest.raises(LayerUnavailable, match="TLS: self-signed certificate"):
            await talk(cls, f"rediss://127.0.0.1:{port}")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        ("redis://127.0.0.1:{tls}", "if it speaks TLS on this port, write rediss:// instead of redis://"),
        (
            "rediss://127.0.0.1:{plain}?socket_connect_timeout=1",
            "if it speaks no TLS on this port, write redis:// instead of rediss://",
        ),
        ("rediss://127.0.0.1:{tls}", r"self-signed certificate.*\. Correct ssl_ca_certs"),
        (
            "rediss://127.0.0.1:{tls}?ssl_ca_certs=/nowhere/ca.crt",
            "ssl_ca_certs='/nowhere/ca.crt': no such file or directory. Correct its path",
        ),
    ],
)
async def test_what_is_wrong_with_tls_is_named(tmp_path: Path, host: str, advice: str) -> None:
    server, port, _ = tls_server(tmp_path)
    try:
        with pytest.raises(LayerUnavailable, match=advice) as caught:
            await talk(RedisChannelLayer, host.format(tls=port, plain=server.port))
        assert "Start redis-server" not in str(caught.value)
    finally:
        server.stop()


@BOTH
async def test_a_user_with_few_rights(cls: Any, redis_server: RedisServer) -> None:
    """No SCRIPT LOAD, no CLIENT: scripts are sent with each call, and queues change a little later."""
    with redis.Redis.from_url(redis_server.url) as wire:
        rights = "on >pw ~asgi* ~plain &* +@all -@dangerous -script -client"
        wire.execute_command("ACL", "SETUSER", "app", *rights.split())
        await talk(cls, redis_server.url.replace("://", "://app:pw@"))
        wire.execute_command("ACL", "SETUSER", "app", "-@all")
        with pytest.raises(LayerUnavailable, match="this user may not run the commands"):
            await talk(cls, redis_server.url.replace("://", "://app:pw@"))


async def test_presence_says_what_its_user_may_not_do(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be silent until all people have left."""
    monkeypatch.setattr(people, "BEAT_S", 0.05)
    with redis.Redis.from_url(redis_server.url) as wire, recorded() as records:
        wire.execute_command("ACL", "SETUSER", "app", *"on >pw ~* &* +@all".split())
        layer = RedisPubSubChannelLayer([redis_server.url.replace("://", "://app:pw@")])
        channel = await layer.new_channel()
        layer.attach(channel, Inbox(asyncio.get_running_loop()))
        await layer.track("room", channel, "ada")
        wire.execute_command("ACL", "SETUSER", "app", "-zadd")
        await until_async(lambda: "taken to have left" in "".join(records.messages()), "it is said")
        refused = wire.info("commandstats")["cmdstat_evalsha"]["failed_calls"]

        def refused_again() -> bool:
            return bool(wire.info("commandstats")["cmdstat_evalsha"]["failed_calls"] > refused + 5)

        await until_async(refused_again, "more beats")
        assert "".join(records.messages()).count("taken to have left") == 1
        await layer.detach(channel)
        await close(layer)


async def test_database_numbers_keep_queues_apart(redis_server: RedisServer) -> None:
    one, two = (RedisChannelLayer(hosts=[f"{redis_server.url}/{number}"]) for number in (1, 2))
    await one.send("plain", {"type": "one"})
    await two.send("plain", {"type": "two"})
    assert await one.receive("plain") == {"type": "one"}
    assert await two.receive("plain") == {"type": "two"}
    await one.flush()
    await two.flush()
