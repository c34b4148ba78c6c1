"""The contract of backends: one suite over memory and Redis."""

from __future__ import annotations

from typing import Any

import pytest

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.manager import ConnectionManager, WSConfig
from compat.manager.backends import BaseBackend, MemoryBackend, RedisBackend
from compat.manager.backends.records import Refusal, bounded
from compat.manager.exceptions import BackendError
from compat.settings import override
from tests.support.logs import recorded
from tests.support.processes import free_port
from tests.unit.manager.conftest import MakeManager, connector
from tests.unit.manager.sockets import Peer

METADATA: dict[str, Any] = {"device": "phone"}


async def test_messages_to_a_channel(backend: BaseBackend) -> None:
    channel = await backend.new_channel("ws.alice")
    assert channel.startswith("ws.alice")
    await backend.subscribe(channel)
    await backend.publish(channel, {"n": 1})
    assert await backend.receive(channel, timeout=15) == {"n": 1}
    assert await backend.receive(channel, timeout=0.05) is None
    await backend.unsubscribe(channel)


async def test_groups_of_channels(backend: BaseBackend) -> None:
    one, two = await backend.new_channel("one"), await backend.new_channel("two")
    for channel in (one, two):
        await backend.group_add("room:1", channel)
    assert await backend.group_channels("room:1") == {one, two}
    await backend.group_send("room:1", {"n": 1})
    await backend.group_send("room:1", {"n": 2}, exclude_channel=one)
    await backend.group_discard("room:1", one)
    await backend.group_send("room:1", {"n": 3})
    assert await backend.receive(one, timeout=15) == {"n": 1}
    heard = [await backend.receive(two, timeout=15) for _ in range(3)]
    assert [message["n"] for message in heard if message] == [1, 2, 3]
    assert await backend.receive(one, timeout=0.05) is None
    assert await backend.group_channels("room:1") == {two}


async def test_the_registry(backend: BaseBackend) -> None:
    await backend.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    await backend.registry_add_connection("a2", "alice", METADATA, set(), 60)
    assert await backend.registry_add_connection_if_under_limit("b1", "bob", METADATA, {"room"}, 60, 3)
    assert not await backend.registry_add_connection_if_under_limit("b2", "bob", METADATA, set(), 60, 3)
    await backend.registry_refresh_ttl("a1", "alice")
    assert await backend.registry_count_connections() == 3
    assert await backend.registry_get_user_connections("alice") == {"a1", "a2"}
    assert await backend.registry_users() == {"alice": 2, "bob": 1}
    assert await backend.registry_users(limit=1) == {"alice": 2}
    assert await backend.registry_count_users() == 2
    assert await backend.registry_get_connection_groups("a1") == {"room"}
    await backend.registry_update_groups("a1", {"hall", "room"})
    await backend.registry_update_groups("b1", {"hall"})
    assert await backend.registry_groups() == {"hall": 2, "room": 1}
    assert await backend.registry_count_groups() == 2
    assert {record.connection_id for record in await backend.registry_group_records("hall")} == {"a1", "b1"}
    found = await backend.registry_find("b1")
    assert found is not None and (found.user_id, found.server) == ("bob", backend.server)
    await backend.registry_remove_connection("a1", "alice")
    await backend.registry_remove_connection("a1", "alice")
    assert await backend.registry_find("a1") is None
    assert await backend.group_channels("room") == set() and await backend.group_channels("hall") == {"b1"}
    await backend.registry_remove_connection("a2", "alice")
    assert await backend.registry_users() == {"bob": 1}


async def test_admission_says_why_not(backend: BaseBackend) -> None:
    assert await backend.registry_admit(backend.record("a1", "alice"), max_user=1) is None
    assert await backend.registry_admit(backend.record("a1", "bob")) == Refusal("exists", 0)
    assert await backend.registry_admit(backend.record("a2", "alice"), max_user=1) == Refusal("user", 1)
    assert await backend.registry_admit(backend.record("a2", "bob"), max_total=1) == Refusal("total", 1)
    assert await backend.registry_admit(backend.record("x", ""), max_user=1) is None
    assert await backend.registry_admit(backend.record("y", ""), max_user=1) is None


async def test_groups_are_bounded(backend: BaseBackend) -> None:
    assert await backend.registry_join("a1", "one", 1) == "joined"
    assert await backend.registry_join("a1", "one", 1) == "already"
    assert await backend.registry_join("a1", "two", 1) == "full"
    assert await backend.registry_join("a2", "one", 1) == "joined"
    assert await backend.registry_groups() == {"one": 2}


async def test_a_limit_of_nothing_lets_nothing_in(backend: BaseBackend) -> None:
    assert await backend.registry_admit(backend.record("a1", "alice"), max_total=0) == Refusal("total", 0)
    assert await backend.registry_admit(backend.record("a1", "alice"), max_user=0) == Refusal("user", 0)
    assert await backend.registry_join("a1", "one", 0) == "full"


async def test_lists_of_none(backend: BaseBackend) -> None:
    await backend.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    assert await backend.registry_users(limit=0) == {} == await backend.registry_groups(limit=0)


async def test_orphans_are_taken_out(backend: BaseBackend) -> None:
    await backend.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    for orphan in ("x1", "x2"):
        await backend.registry_join(orphan, "room")
        await backend.registry_join(orphan, "empty")
    stats = await backend.cleanup_orphaned_group_members()
    assert stats == {"orphaned_members_removed": 4, "empty_groups_removed": 1}
    assert await backend.registry_groups() == {"room": 1}
    assert await backend.cleanup_stale_connections("server-x") == {
        "connections_removed": 0,
        "user_mappings_cleaned": 0,
    }


async def test_flush_forgets_everything(backend: BaseBackend) -> None:
    await backend.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    await backend.flush()
    assert await backend.registry_count_connections() == 0 == await backend.registry_count_groups()


async def test_what_a_backend_says_of_itself(backend: BaseBackend, kind: str) -> None:
    assert backend.kind == ("memory" if kind == "memory" else "redis")
    assert backend.supports_broadcast_channel() is (kind != "memory")
    assert backend.registry_get_prefix().endswith("registry:")


def test_long_names_make_bounded_keys() -> None:
    assert bounded("alice") == "alice" and bounded("x" * 120) == "x" * 120
    assert len(bounded("x" * 100_000)) == 97 and bounded("x" * 121) != bounded("x" * 122)


def test_faults_security_h3_no_name_is_another_names_key() -> None:
    key = bounded("x" * 121)
    typed = str.__str__(key)  # what a client sends is no more than text
    assert bounded(key) == key and type(typed) is str
    assert bounded(typed) != key and bounded(bounded(typed)) == bounded(typed)


async def test_faults_security_h3_a_user_with_the_key_of_another(backend: BaseBackend) -> None:
    long = "alice" * 50
    stranger = str.__str__(bounded(long))
    await backend.registry_add_connection("a1", long, METADATA, {long}, 60)
    await backend.registry_add_connection("s1", stranger, METADATA, {stranger}, 60)
    for name, mine in ((long, "a1"), (stranger, "s1")):
        assert await backend.registry_get_user_connections(name) == {mine}
        assert await backend.group_channels(name) == {mine}
        assert [one.connection_id for one in await backend.registry_group_records(name)] == [mine]
    for listed in (await backend.registry_groups(), await backend.registry_users()):
        assert sorted(listed.values()) == [1, 1]
    # What is listed can be asked about, and cleaned up.
    assert {len(await backend.group_channels(name)) for name in await backend.registry_groups()} == {1}
    await backend.registry_update_groups("a1", await backend.registry_get_connection_groups("a1"))
    await backend.registry_join("orphan", long)
    stats = await backend.cleanup_orphaned_group_members()
    assert stats["orphaned_members_removed"] == 1
    assert await backend.group_channels(long) == {"a1"}


# Which backend, which layer


def test_the_configuration_picks_the_backend(redis_url: str) -> None:
    memory = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="memory"))
    redis = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="redis", REDIS_URL=redis_url))
    assert isinstance(memory.backend, MemoryBackend) and isinstance(
        memory.backend.layer, InMemoryChannelLayer
    )
    assert isinstance(redis.backend, RedisBackend) and isinstance(redis.backend.layer, RedisChannelLayer)


def test_a_configured_layer_is_used(redis_url: str) -> None:
    layers = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis_url]},
        }
    }
    with override(CHANNEL_LAYERS=layers):
        manager = ConnectionManager(ws_config=WSConfig(LOG_STATS=True))
        assert isinstance(manager.backend, RedisBackend)  # its Redis is the layer's
        assert isinstance(manager.backend.layer, RedisPubSubChannelLayer)
        assert manager.backend.link.host.where == manager.backend.layer.redis_hosts[0].where


def test_another_kind_of_default_layer_is_left_alone(redis_url: str) -> None:
    default = InMemoryChannelLayer()
    register_channel_layer("default", default)
    with recorded() as records:
        manager = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="redis", REDIS_URL=redis_url))
        assert isinstance(manager.backend.layer, RedisChannelLayer)
    assert "do not see each other's groups" in records.messages()[0]


def test_a_layer_can_be_named_or_given() -> None:
    layer = InMemoryChannelLayer()
    register_channel_layer("chat", layer)
    try:
        assert ConnectionManager(layer="chat").backend.layer is layer
    finally:
        unregister_channel_layer("chat")
    assert ConnectionManager(layer=layer).backend.layer is layer
    with pytest.raises(LookupError, match=r"layer='chit'.*Add it to CHANNEL_LAYERS"):
        _ = ConnectionManager(layer="chit").backend


async def test_a_manager_on_pubsub(redis_url: str, prefix: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix=prefix)
    manager = ConnectionManager(ws_config=WSConfig(REDIS_CHANNEL_PREFIX=prefix), layer=layer)
    connect = connector(manager)
    alice, one = await connect("alice", "room")
    _, two = await connect("bob", "room")
    await manager.send_group_except("room", {"n": 1}, alice)
    await manager.broadcast({"n": 2})
    await layer.send(alice.channel_name, {"n": 3})
    assert sorted(frame["n"] for frame in await one.hear_all(2)) == [2, 3]
    assert sorted(frame["n"] for frame in await two.hear_all(2)) == [1, 2]
    await manager.stop_tasks()
    assert layer.channels == {} and layer.groups == {}
    await layer.close_pools()


async def test_without_redis_errors_say_what_to_do(prefix: str) -> None:
    url = f"redis://user:secret@127.0.0.1:{free_port()}"
    config = WSConfig(
        BACKEND_TYPE="redis", REDIS_URL=url, WS_RECONNECT_MAX_ATTEMPTS=2, WS_RECONNECT_DELAY=0.01
    )
    manager = ConnectionManager(ws_config=config)
    with pytest.raises(BackendError, match=r"REDIS_URL.*tried 2 times.*WS_RECONNECT_MAX_ATTEMPTS") as raised:
        await manager.start_tasks()
    assert "secret" not in str(raised.value) and raised.value.should_disconnect() is False
    with pytest.raises(BackendError, match="sending to group 'room'") as raised:
        await manager.send_to_group("room", {"n": 1})
    assert raised.value.retryable and isinstance(raised.value.cause, OSError)
    peer = Peer()
    with recorded() as records, pytest.raises(Exception, match="cannot take connections") as refused:
        await manager.connect(peer.websocket, "alice")
    assert getattr(refused.value, "ws_code", 0) == 1013 and peer.accepted is None
    assert "refused a connection" in records.messages()[-1]
    await manager.stop_tasks()


async def test_the_wire_format_can_be_chosen(redis_url: str, prefix: str) -> None:
    backend = RedisBackend(redis_url, channel_prefix=prefix, serializer_format="json")
    channel = await backend.new_channel("x")
    await backend.publish(channel, {"n": 1})
    assert await backend.receive(channel, 5) == {"n": 1}
    await backend.flush()
    await backend.cleanup()


async def test_registry_keys_end_by_themselves(redis_url: str, prefix: str) -> None:
    backend = RedisBackend(redis_url, 100, 50, channel_prefix=prefix)
    await backend.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    await backend.open()
    root = backend.registry_get_prefix()
    assert root == f"{prefix}registry:"
    limits = {}
    for key in ("connections", "servers", "reports", "users", "user:alice", "groups", "group:room", "in:a1"):
        limits[key] = await backend.link.call(b"TTL", root + key)
    assert all(0 < limits[key] <= 100 for key in limits)
    assert all(limits[key] <= 50 for key in ("groups", "group:room", "in:a1"))
    await backend.flush()
    await backend.cleanup()
    forever = RedisBackend(redis_url, None, None, channel_prefix=prefix)
    await forever.registry_add_connection("a1", "alice", METADATA, {"room"}, 60)
    assert await forever.link.call(b"TTL", f"{root}connections") == -1
    assert await forever.link.call(b"TTL", f"{root}group:room") == -1
    await forever.flush()
    await forever.cleanup()


async def test_short_expiries_are_renewed_in_time(redis_url: str, prefix: str) -> None:
    backend = RedisBackend(redis_url, 3, 2, channel_prefix=prefix)
    assert await backend.lease.renew() < 1
    await backend.flush()
    await backend.cleanup()


@pytest.mark.parametrize("kind", ["redis"])
async def test_nothing_is_left_in_redis(make_manager: MakeManager, prefix: str) -> None:
    manager = make_manager()
    connect = connector(manager)
    made = [await connect(f"u{index % 3}", "room", f"g{index}") for index in range(10)]
    await manager.start_tasks()
    await manager.send_to_group("room", {"n": 1})
    for connection, _ in made[:5]:
        await manager.disconnect(connection)
    await manager.stop_tasks()
    backend = manager.backend
    assert isinstance(backend, RedisBackend)
    _, keys = await backend.link.call(b"SCAN", 0, b"MATCH", f"{prefix.rstrip(':')}*", b"COUNT", 100_000)
    assert keys == [], keys
