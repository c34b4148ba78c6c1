"""Groups whose people the layer tracks: the connections of managers are among them."""

from __future__ import annotations

from typing import Any

import pytest

from compat.exceptions import ImproperlyConfigured
from compat.layers import InMemoryChannelLayer
from compat.layers.presence import Presence, attendance
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.manager.relay import attached
from tests.support.layers import unique_prefix
from tests.support.waiting import until_awaited
from tests.unit.manager.conftest import MakeManager, connector

PRESENCE = {"room*": {"key": "user"}}


@pytest.fixture
def kind() -> str:
    return "redis"


@pytest.fixture(params=["memory", "pubsub", "queue"])
def layer(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(attendance, "GRACE_S", 0.2)
    if request.param == "memory":
        return InMemoryChannelLayer(presence=PRESENCE)
    cls: Any = {"pubsub": RedisPubSubChannelLayer, "queue": RedisChannelLayer}[request.param]
    return cls([redis_url], prefix=unique_prefix(), presence=PRESENCE)


async def test_connections_are_people(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    connect = connector(manager)
    first, _ = await connect("alice", "room", "hall")
    second, _ = await connect("alice", "room")
    await connect("bob", "room")
    await connect(None, "room")  # whom nobody knows
    assert await manager.get_group_users("room") == ["alice", "bob"]
    people = await layer.presence("room")
    assert people == await manager.presence("room")
    assert {key: len(person["metas"]) for key, person in people.items()} == {"alice": 2, "bob": 1}
    await manager.leave_group(first, "room")
    assert await manager.get_group_users("room") == ["alice", "bob"], "she has another connection"
    await manager.disconnect(second)
    await until_awaited(lambda: manager.get_group_users("room"), ["bob"])
    await manager.disconnect_user("bob")
    await until_awaited(lambda: manager.presence("room"), Presence())
    assert layer.present() == 0


async def test_people_of_consumers_are_among_them(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    await connector(manager)("alice", "room")
    channel = await layer.new_channel()
    line = await attached(layer, channel, lambda message: None)
    layer.attend(channel, {"user": "carol"}, hears=False)
    await layer.group_add("room", channel)
    assert await manager.get_group_users("room") == ["alice", "carol"]
    await line.end()
    await until_awaited(lambda: manager.get_group_users("room"), ["alice"])


async def test_a_group_without_a_rule_has_the_users_of_the_registry(
    make_manager: MakeManager, layer: Any
) -> None:
    manager = make_manager(layer=layer)
    await connector(manager)("alice", "hall")
    assert await manager.get_group_users("hall") == ["alice"]
    with pytest.raises(ImproperlyConfigured, match="group 'hall': the layer does not track"):
        await manager.presence("hall")
