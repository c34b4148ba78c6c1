"""An id that passes to another connection: whoever still has the old one does not act on the new one."""

from __future__ import annotations

import asyncio

import pytest

from compat.manager import Connection, ConnectionManager
from compat.manager.connections.parts import connection_of
from compat.manager.exceptions import ConnectionError
from compat.manager.typed import ConnectionState
from tests.unit.manager.conftest import Connect
from tests.unit.manager.sockets import Peer, until_it_is

Both = tuple[Connection, Connection, Peer]


@pytest.fixture
async def both(connect: Connect, manager: ConnectionManager) -> Both:
    """The connection that has ended, and that of bob with its id, who is in "room"."""
    old, _ = await connect("alice", "room", connection_id="x")
    await manager.disconnect(old)
    new, peer = await connect("bob", "room", connection_id="x")
    return old, new, peer


async def test_the_new_one_gets_nothing_that_was_for_the_old_one(
    both: Both, manager: ConnectionManager
) -> None:
    old, new, peer = both
    assert await manager.send_personal(old, {"secret": 1}) is False
    assert await manager.send_personal(new, {"n": 1}) and await manager.send_personal("x", {"n": 2})
    assert await peer.hear_all(2) == [{"n": 1}, {"n": 2}]


async def test_the_new_one_stays_in_its_groups(both: Both, manager: ConnectionManager) -> None:
    old, new, peer = both
    with pytest.raises(ConnectionError, match="x is not connected") as raised:
        await manager.join_group(old, "hall")
    assert raised.value.error_code == "UNKNOWN_CONNECTION"
    await manager.leave_group(old, "room")
    assert new.groups == {"room"} and await manager.list_groups() == {"room": 1}
    await manager.send_to_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    await manager.leave_group("x", "room")  # an id means whoever has it now
    assert new.groups == set()


async def test_the_end_of_the_old_one_does_not_end_the_new_one(
    both: Both, manager: ConnectionManager
) -> None:
    old, new, peer = both
    await manager.disconnect(old)
    assert new.state is ConnectionState.CONNECTED and peer.closed_with is None
    assert await manager.count_connections() == 1
    await manager.disconnect("x", 4001)
    assert peer.closed_with == 4001


async def test_a_record_of_the_old_one_is_not_the_new_one(
    connect: Connect, manager: ConnectionManager
) -> None:
    await connect("alice", connection_id="x")
    [record] = await manager.backend.registry_user_records("alice")
    handle = connection_of(record)
    assert await manager.send_personal(handle, {"n": 1})
    await manager.disconnect(handle)
    new, peer = await connect("bob", connection_id="x")
    await manager.disconnect(handle)
    assert not await manager.send_personal(handle, {"n": 2}) and peer.closed_with is None
    assert new.state is ConnectionState.CONNECTED


async def test_both_end_while_the_old_ones_client_reads_nothing(
    connect: Connect, manager: ConnectionManager
) -> None:
    old, slow = await connect("alice", connection_id="x")
    slow.stop_reading()
    await manager.send(old, {"n": 1})
    ending = asyncio.ensure_future(manager.disconnect(old))
    await until_it_is(None, lambda: manager.get_connection("x"))
    new, peer = await connect("bob", "room", connection_id="x")
    await manager.disconnect(new, 4001)
    assert peer.closed_with == 4001 and not ending.done()
    assert await manager.count_connections() == 0
    slow.go_on_reading()
    await asyncio.wait_for(ending, 10)
    assert slow.closed_with == 1000


async def test_the_end_of_the_old_one_leaves_the_new_one_reachable(
    connect: Connect, manager: ConnectionManager
) -> None:
    """What is taken down late for the old one is its own, though both have one name."""
    old, _ = await connect("alice", "room", connection_id="x")
    await manager.registry.unregister("x")
    new, peer = await connect("bob", "room", connection_id="x")
    await manager.switchboard().unplug(old)
    await manager.send_to_group("room", {"n": 1})
    await manager.broadcast({"n": 2})
    await manager.backend.publish(new.address, {"n": 3})
    assert sorted(frame["n"] for frame in await peer.hear_all(3)) == [1, 2, 3]
