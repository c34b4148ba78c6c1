"""The option of a Redis Cluster, its shards, and whom they ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.crc
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError, ResponseError

from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.layers.redis.keys import Keys
from compat.redis.cluster import SLOTS, Cluster, commands_of, make_hosts, slot_of, tags
from compat.redis.hosts_option import decode_hosts, host_of
from compat.redis.reasons import MOVED, WAIT, redirect_of
from tests.support.processes import free_port
from tests.support.redis_cluster import shared_cluster
from tests.support.redis_server import RedisServer, server_version

NODE = "redis://127.0.0.1:7000"


@given(st.text())
def test_slots_are_those_of_redis(key: str) -> None:
    assert slot_of(key) == redis.crc.key_slot(key.encode())


@pytest.mark.parametrize("count", [1, 2, 3, 12, 100])
def test_tags_divide_the_slots(count: int) -> None:
    found = tags(count)
    assert [slot_of(f"asgi{{{tag}}}:group:x") * count // SLOTS for tag in found] == list(range(count))
    assert not set(found) & set(tags(count + 1)), "another number of shards has other keys"


@given(st.text(min_size=1), st.integers(1, 20))
def test_everything_with_one_name_is_in_one_slot(name: str, count: int) -> None:
    keys = Keys("asgi", count, tags(count))
    for made in (
        [keys.group(name), keys.census(name), keys.at(keys.group_shard(name)).leases],
        [*keys.history(name), keys.history_topic(name)],
        [*keys.direct(name), keys.direct_topic(name)],
        [keys.jobs(name), keys.dead(name)],
        [of(keys.queue(name)) for of in (str, keys.inflight, keys.held, keys.taken)],
    ):
        assert len({slot_of(key) for key in made}) == 1
        assert {keys.shard_in(key) for key in made} == {keys.shard_in(made[0])}
    topic = keys.channel_topic(name)
    assert keys.channel_of(topic) == name and keys.shard_in(topic) == keys.shard_in(keys.group(name))


@given(st.text(min_size=1))
def test_a_topic_of_a_group_is_that_of_no_channel(name: str) -> None:
    keys = Keys("asgi", 3, tags(3))
    assert keys.channel_of(keys.topic(name)) == keys.channel_of(keys.topic(f"x}}__channel__{name}")) == ""


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([{"cluster": NODE}], "must be a list of nodes.*found 'redis://127.0.0.1:7000'"),
        ([{"cluster": []}], "must be a list of nodes"),
        ([{"cluster": "redis://:secret@h:1"}], r"found 'redis://:\*\*\*@h:1'"),
        ([{"cluster": [NODE + "/3"]}], "names database 3; a cluster has hosts, and database 0"),
        ([{"cluster": ["unix:///run/redis.sock"]}], "names a unix socket"),
        ([{"cluster": [{"host": "h", "password": "x"}]}], "a node is a URL or a .host, port. pair"),
        ([{"cluster": [("h", "x")]}], "port must be a number"),
        ([{"cluster": [NODE], "shards": 0}], "shards.* must be a number from 1 to 512, not 0"),
        ([{"cluster": [NODE], "shards": 513}], "not 513"),
        ([{"cluster": [NODE], "shards": True}], "not True"),
        ([{"cluster": [NODE], "sharded": "yes"}], "must be True, False, or None"),
        ([{"cluster": [NODE], "shard": 3}], "did you mean 'shards'"),
        ([{"cluster": [NODE]}, NODE], "must be the only entry of hosts"),
    ],
)
def test_errors_say_what_to_write(hosts: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RedisChannelLayer(hosts)


def test_a_prefix_with_braces() -> None:
    with pytest.raises(ValueError, match="must have no braces with a cluster"):
        RedisChannelLayer([{"cluster": [NODE]}], prefix="{asgi}")


def test_options_of_the_entry_and_of_the_urls() -> None:
    nodes = ["rediss://me:secret@one:7000", ("two", 7001)]
    layer = RedisChannelLayer([{"cluster": nodes, "shards": 3, "socket_timeout": 2}])
    assert layer.ring_size == len(layer.redis_hosts) == 3
    for index, host in enumerate(layer.redis_hosts):
        assert (
            host.reply_timeout_s == 2 and host.where == f"shard {index} of the cluster at one:7000, two:7001"
        )
        kwargs = host.pool().connection_kwargs
        assert (kwargs["username"], kwargs["password"]) == ("me", "secret")
        assert host.pool().connection_class.__name__ == "TlsShardConnection"
    assert "secret" not in str(layer) and "secret" not in layer.redis_hosts[0].where


def test_a_setting_with_commas_is_a_cluster() -> None:
    assert host_of(f"{NODE},{NODE}") == {"cluster": [NODE, NODE]}
    assert host_of("redis://:a,b@h:1") == "redis://:a,b@h:1" and host_of(("h", 1)) == ("h", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("MOVED 3999 127.0.0.1:6381", MOVED),
        ("READONLY You can't write against a read only replica.", MOVED),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", MOVED),
        ("ASK 3999 127.0.0.1:6381", WAIT),
        ("TRYAGAIN Multiple keys request during rehashing of slot", WAIT),
        ("CLUSTERDOWN Hash slot not served", WAIT),
        ("CROSSSLOT Keys in request don't hash to the same slot", None),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", None),
    ],
)
def test_what_a_node_refuses(text: str, reason: str | None) -> None:
    assert redirect_of(ResponseError(text)) == reason


async def test_no_node_answers() -> None:
    port = free_port()
    layer = RedisPubSubChannelLayer([{"cluster": [f"redis://127.0.0.1:{port}"], "socket_timeout": 0.2}])
    with pytest.raises(
        LayerUnavailable, match=f"no node of the cluster answers.*127.0.0.1:{port}: connection refused"
    ):
        await layer.group_send("room", {"type": "x"})
    await layer.close_pools()


async def test_a_server_that_is_no_cluster(redis_server: RedisServer) -> None:
    layer = RedisChannelLayer([{"cluster": [redis_server.url], "socket_timeout": 0.2}])
    with pytest.raises(LayerUnavailable, match="cluster support disabled"):
        await layer.group_send("room", {"type": "x"})
    await layer.close_pools()


async def test_a_node_without_its_cluster() -> None:
    node = shared_cluster().masters[0]
    layer = RedisChannelLayer([node.url], prefix="somewhere else")
    said = r'node of a Redis Cluster; write hosts=\[\{"cluster"'
    with pytest.raises(LayerUnavailable, match=said):
        for number in range(20):
            await layer.send(f"channel{number}", {"type": "x"})
    await layer.close_pools()


async def test_concurrent_questions_are_one() -> None:
    cluster = Cluster(decode_hosts([shared_cluster().entry(shards=12)])[0])
    addresses = await asyncio.gather(*(cluster.master(index) for index in range(12)))
    assert {port for _, port in addresses} == {node.port for node in shared_cluster().masters}
    assert not cluster._asking


@pytest.mark.parametrize("sharded", [None, True, False])
async def test_which_pub_sub(sharded: bool | None) -> None:
    hosts = make_hosts(decode_hosts([shared_cluster().entry(sharded=sharded)]))
    command = (await commands_of(hosts)).publish
    is_plain = sharded is False or (sharded is None and server_version() < 7)
    assert command == (b"PUBLISH" if is_plain else b"SPUBLISH")


async def test_a_slot_that_nobody_has() -> None:
    cluster = Cluster({"cluster": [NODE], "shards": 2})
    with pytest.raises(RedisError, match="no node of the cluster answers"):
        await cluster.master(0)
