"""Groups whose people the layer tracks: the connections of managers are among them."""

from __future__ import annotations

from typing import Any

import pytest

from compat.engine.direct_inbox import attached
from compat.exceptions import ImproperlyConfigured
from compat.layers import InMemoryChannelLayer
from compat.layers.presence import Presence, attendance
from compat.manager.exceptions import ValidationError
from compat.names import person_group
from tests.support.waiting import until_async, until_awaited
from tests.unit.manager.conftest import MakeManager, connector, layer_with

PRESENCE = {"room*": {"key": "user"}}


@pytest.fixture
def kind() -> str:
    return "redis"


@pytest.fixture(params=["memory", "pubsub", "queue"])
def layer(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(attendance, "GRACE_S", 0.2)
    return layer_with(request.param, redis_url, presence=PRESENCE)


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


async def test_a_person_is_sent_to_and_closed(make_manager: MakeManager, layer: Any) -> None:
    manager = make_manager(layer=layer)
    connect = connector(manager)
    alices = [await connect("alice", "room"), await connect("alice", "room", "room2")]
    bob, peer = await connect("bob", "room")
    await layer.send_to_user("alice", {"type": "chat.message", "n": 1})
    for _, alice in alices:
        assert await alice.hear_json() == {"type": "chat.message", "n": 1}
    for command in ({"type": "__manager__", "do": "disconnect", "with": [1000]}, {"type": "compat.close"}):
        await layer.send_to_user("alice", command)  # which a client may have written
        for _, alice in alices:
            assert await alice.hear_json() == command
    await layer.group_send(person_group("alice"), {"type": "compat.person", "message": 7})
    for _, alice in alices:
        assert (await alice.hear_json())["message"] == 7
    await layer.group_send(person_group("alice"), {"type": "compat.close", "code": 4001})
    await until_awaited(lambda: manager.get_group_users("room"), ["bob"])
    assert [connection.close_code for connection, _ in alices] == [4001, 4001]
    await layer.group_send("room", {"type": "compat.close", "code": 4002})
    await until_async(lambda: peer.closed_with == 4002, "he is closed with the group")
    assert bob.close_code == 4002 and peer.unheard == []


def too_large(scope: Any) -> dict[str, Any]:
    return {"name": "x" * 2000}


@pytest.mark.parametrize("history", [{}, {"room*": {"count": 5, "on_join": 5}}], ids=["plain", "history"])
async def test_a_join_that_is_refused_leaves_nothing(
    make_manager: MakeManager, monkeypatch: pytest.MonkeyPatch, history: Any
) -> None:
    layer = InMemoryChannelLayer(presence={"room*": {"meta": too_large}}, history=history)
    manager = make_manager(layer=layer)
    connect = connector(manager)
    alice, peer = await connect("alice")
    with pytest.raises(ValidationError, match="meta is 2011 bytes"):
        await manager.join_group(alice, "room")
    assert alice.groups == set() and await manager.count_group("room") == 0
    await manager.send_group("room", {"n": 1})
    await manager.send(alice, {"n": 2})
    assert await peer.hear_json() == {"n": 2}
    assert layer.present() == 0 and await layer.presence("room") == {}


async def test_people_by_another_key_are_not_taken_for_users(make_manager: MakeManager) -> None:
    layer = InMemoryChannelLayer(presence={"room*": {"key": "channel"}})
    manager = make_manager(layer=layer)
    alice, _ = await connector(manager)("alice", "room")
    assert await manager.get_group_users("room") == ["alice"]
    assert list(await manager.presence("room")) == [alice.address]
