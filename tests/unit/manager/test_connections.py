"""The life of a connection, on both backends: made, found, joined to groups, ended."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect, WebSocketState

from compat.layers import InMemoryChannelLayer
from compat.manager import BaseConsumer, Connection, ConnectionManager
from compat.manager.exceptions import BackendError, ConnectionError, SystemError
from compat.manager.frames import frame_of, text_frame
from compat.manager.typed import ConnectionState
from compat.settings import override
from tests.support.waiting import turns, until_async
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer, until_it_is


async def test_connect_accepts_and_returns_a_connection(manager: ConnectionManager) -> None:
    peer = Peer()
    connection = await manager.connect(
        peer.websocket, "alice", metadata={"device": "phone"}, subprotocol="chat", headers=[(b"x-a", b"1")]
    )
    assert isinstance(connection, Connection)
    assert peer.accepted == {"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-a", b"1")]}
    assert connection.user_id == "alice" and connection.channel_name.startswith("ws.alice")
    assert connection.state is ConnectionState.CONNECTED and connection.is_alive and connection.is_local
    assert connection.metadata == {
        "device": "phone",
        "server_instance_id": manager.server_instance_id,
    }
    assert manager.registry.get(connection.channel_name) is connection
    assert connection.idle_time >= 0 and connection.connection_duration >= 0


@pytest.mark.parametrize("by_id", [True, False], ids=["id", "connection"])
async def test_a_connection_is_passed_by_its_name_too(
    connect: Connect, manager: ConnectionManager, by_id: bool
) -> None:
    """connection_id=…, as in fastapi-channels, with an id or a Connection."""
    connection, peer = await connect("alice")
    one: Any = connection.channel_name if by_id else connection
    await manager.join_group(connection_id=one, group="room")
    assert await manager.get_connection_groups(connection_id=one) == {"room"}
    assert await manager.send_personal(connection_id=one, message={"n": 1})
    assert await manager.send(connection_id=one, message={"n": 2})
    await manager.leave_group(connection_id=one, group="room")
    assert await manager.get_connection(connection_id=one) is connection and not connection.groups
    await asyncio.to_thread(manager.join_group_sync, connection_id=one, group="room")
    await asyncio.to_thread(manager.leave_group_sync, connection_id=one, group="room")
    assert await asyncio.to_thread(manager.send_personal_sync, connection_id=one, message={"n": 3})
    assert await peer.hear_all(3) == [{"n": 1}, {"n": 2}, {"n": 3}]
    await manager.disconnect(connection_id=one, code=4000)
    await asyncio.to_thread(manager.disconnect_sync, connection_id=one)
    assert peer.closed_with == 4000


def test_a_manager_has_its_settings_by_their_names_in_fastapi_channels(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_CONNECTIONS_PER_CLIENT=3, WS_HEARTBEAT_INTERVAL=7, LOG_STATS=True)
    assert manager.max_connections_per_client == 3 and manager.heartbeat_interval == 7
    assert manager.log_stats is True and manager.enable_heartbeat is True
    assert make_manager(WS_ENABLE_HEARTBEAT=False).enable_heartbeat is False
    with pytest.raises(AttributeError):
        manager.log_stats = False  # type: ignore[misc]


async def test_an_anonymous_connection(connect: Connect, manager: ConnectionManager) -> None:
    connection, _ = await connect()
    assert connection.channel_name.startswith("ws.") and connection.user_id == ""
    assert await manager.count_users() == 0 and await manager.count_connections() == 1


async def test_a_websocket_that_is_accepted_already(manager: ConnectionManager) -> None:
    peer = Peer()
    await peer.websocket.accept()
    peer.accepted = None
    await manager.connect(peer.websocket)
    assert peer.accepted is None


@pytest.mark.parametrize("user", ["café", "a b/c:d", "x" * 500, "日本", "-.-"])
async def test_any_text_is_a_user(connect: Connect, manager: ConnectionManager, user: str) -> None:
    connection, peer = await connect(user)
    assert connection.user_id == user
    assert await manager.send_to_user(user, {"n": 1}) == 1
    assert await peer.hear_json() == {"n": 1}


async def test_an_id_of_ones_own(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice", connection_id="session 42")
    assert connection.channel_name == "session 42" != connection.address
    assert await manager.send_personal("session 42", {"n": 1})
    await manager.join_group("session 42", "room")
    await manager.send_to_group("room", {"n": 2})
    assert await peer.hear_all(2) == [{"n": 1}, {"n": 2}]
    assert await manager.get_connection_groups("session 42") == {"room"}
    with pytest.raises(ConnectionError, match="session 42 already exists") as raised:
        await connect("bob", connection_id="session 42")
    assert raised.value.error_code == "CONNECTION_EXISTS"
    await manager.disconnect("session 42")
    again, _ = await connect("bob", connection_id="session 42")
    assert again.user_id == "bob"


@pytest.mark.parametrize("wrong", ["", "x" * 201, "a\nERROR:root:forged", "a\x1b[2J"])
async def test_an_id_that_cannot_be(manager: ConnectionManager, wrong: str) -> None:
    with pytest.raises(ValueError, match="1 to 200 characters"):
        await manager.connect(Peer().websocket, connection_id=wrong)
    assert await manager.count_connections() == 0


@pytest.mark.parametrize("code", [1000, 1001, 4123])
async def test_the_clients_close_is_raised_by_receive(
    connect: Connect, manager: ConnectionManager, code: int
) -> None:
    connection, peer = await connect("alice")
    peer.leave(code)
    for _ in range(2):
        with pytest.raises(WebSocketDisconnect) as raised:
            await peer.websocket.receive()
        assert raised.value.code == code
    await manager.disconnect(connection, 1000)
    assert peer.closed_with is None  # it has closed, and needs no close frame
    assert connection.close_code == code


async def test_receive_has_only_the_key_that_is_meant(connect: Connect) -> None:
    _, peer = await connect()
    peer.frame({"type": "websocket.receive", "text": None, "bytes": b"x"})
    peer.frame({"type": "websocket.receive", "text": "x", "bytes": None})
    peer.say("y")
    assert await peer.websocket.receive() == {"type": "websocket.receive", "bytes": b"x"}
    assert await peer.websocket.receive() == {"type": "websocket.receive", "text": "x"}
    assert await peer.websocket.receive_text() == "y"


async def test_frames_are_counted_both_ways(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    peer.say("é")
    peer.say_bytes(b"123")
    await peer.websocket.receive()
    await peer.websocket.receive()
    await manager.send(connection, {"a": "é"})
    await peer.hear()
    assert (connection.bytes_received, connection.messages_received) == (5, 2)
    assert (connection.message_count, connection.bytes_sent) == (1, len('{"a":"é"}'.encode()))
    counted = manager.statistics.as_dict()
    assert (counted["frames_received"], counted["bytes_received"]) == (2, 5)
    assert (counted["frames_sent"], counted["bytes_sent"]) == (1, 10)
    assert connection.to_dict()["bytes_sent"] == 10


async def test_after_disconnect_nothing_is_left(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice", "room", "hall")
    name = connection.channel_name
    await manager.disconnect(connection, 4000)
    assert peer.closed_with == 4000
    assert connection.state is ConnectionState.DISCONNECTED and not connection.is_alive
    assert connection.groups == set() and manager.registry.get(name) is None
    assert (
        await manager.count_connections() == 0 == await manager.count_users() == await manager.count_groups()
    )
    assert await manager.get_user_connections("alice") == []
    assert await manager.backend.group_channels("room") == set()
    assert await manager.get_connection(name) is None
    assert not await manager.send(name, {"n": 1})
    await manager.send_to_group("room", {"n": 2})
    await manager.broadcast({"n": 3})
    assert peer.unheard == []
    assert manager.switchboard().relays.groups == {}


async def test_disconnect_is_done_once_whoever_asks(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    await asyncio.gather(*(manager.disconnect(connection, 4000 + index) for index in range(5)))
    await manager.disconnect(connection.channel_name)
    await manager.disconnect("nobody")
    assert peer.closed_with == 4000 and manager.statistics.disconnected == 1


async def test_what_waits_is_sent_before_the_close(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    for number in range(20):
        manager.push(connection, manager.switchboard().frame({"n": number}, "test"))  # type: ignore[arg-type]
    await manager.disconnect(connection)
    assert await peer.hear_all(20) == [{"n": number} for number in range(20)]
    assert peer.closed_with == 1000


async def test_an_endpoint_that_waits_learns_of_the_end_at_once(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice")
    peer.websocket._send = _ignored  # a client that answers no close: the server would wait for it
    reading = asyncio.ensure_future(peer.websocket.receive())
    await until_async(lambda: connection.reading, "the endpoint reads")
    await manager.disconnect(connection, 1011)
    with pytest.raises(WebSocketDisconnect) as raised:
        await asyncio.wait_for(reading, 15)
    assert raised.value.code == 1011


async def _ignored(message: Any) -> None:
    pass


async def test_a_client_that_reads_nothing_does_not_keep_disconnect_waiting(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice", "room")
    peer.stop_reading()
    await manager.send(connection, {"n": 1})
    await asyncio.wait_for(manager.disconnect(connection), 10)
    assert await manager.count_connections() == 0
    peer.go_on_reading()


async def test_an_endpoint_whose_client_does_not_read_is_ended_in_its_own_send(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice")
    consumer = BaseConsumer(connection, manager)
    peer.stop_reading()
    sending = [asyncio.ensure_future(consumer.send_json({"n": number})) for number in range(2)]
    await turns()
    await asyncio.wait_for(manager.disconnect(connection, 1008), 10)
    for outcome in await asyncio.wait_for(asyncio.gather(*sending, return_exceptions=True), 10):
        assert isinstance(outcome, WebSocketDisconnect) and outcome.code == 1008
    peer.go_on_reading()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python does not count cancellations yet")
async def test_a_cancelled_send_is_cancelled_also_if_its_connection_ends(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice")
    outbox = connection.outbox
    assert outbox is not None
    peer.stop_reading()
    sending = asyncio.ensure_future(outbox.send(text_frame("x")))
    await turns()
    sending.cancel()
    outbox.discard()
    await asyncio.wait((sending,))
    assert sending.cancelled()
    peer.go_on_reading()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python does not count cancellations yet")
async def test_a_cancelled_receive_is_cancelled_also_if_its_connection_ends(connect: Connect) -> None:
    connection, peer = await connect("alice")
    assert connection.gate is not None
    receiving = asyncio.ensure_future(peer.websocket.receive())
    await turns()
    connection.gate.interrupt()
    receiving.cancel()
    await asyncio.wait((receiving,))
    assert receiving.cancelled()


async def test_a_cancelled_endpoint_still_takes_its_connection_out(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, _ = await connect("alice", "room")
    ending = asyncio.ensure_future(manager.disconnect(connection))
    await asyncio.sleep(0)
    ending.cancel()
    await asyncio.wait((ending,))
    await until_async(lambda: connection.state is ConnectionState.DISCONNECTED, "it has ended all the same")
    assert await manager.count_connections() == 0


async def test_a_client_that_leaves_before_it_is_accepted(manager: ConnectionManager) -> None:
    peer = Peer()
    peer.gone = True
    with pytest.raises(WebSocketDisconnect):
        await manager.connect(peer.websocket, "alice")
    assert await manager.count_connections() == 0 and manager.registry.connections == {}
    assert manager.switchboard().relays.groups == {}


async def test_a_connection_that_is_ended_while_it_is_accepted(manager: ConnectionManager) -> None:
    peer = Peer()
    await peer._to_server.get()  # accept() waits for the client
    connecting = asyncio.ensure_future(manager.connect(peer.websocket, "alice"))
    await until_async(lambda: manager.registry.connections, "it is registered")
    assert await manager.disconnect_user("alice", 4001) == 1
    peer.frame({"type": "websocket.connect"})
    with pytest.raises(WebSocketDisconnect) as raised:
        await connecting
    assert raised.value.code == 4001 == peer.closed_with
    assert await manager.count_connections() == 0 and manager.switchboard().relays.groups == {}
    assert (manager.statistics.connected, manager.statistics.disconnected) == (0, 0)


async def test_the_next_holder_of_an_id_is_not_disturbed_by_a_late_accept(manager: ConnectionManager) -> None:
    late, peer = Peer(), Peer()
    await late._to_server.get()
    connecting = asyncio.ensure_future(manager.connect(late.websocket, "alice", connection_id="x"))
    await until_async(lambda: manager.registry.connections, "it is registered")
    await manager.disconnect("x")
    connection = await manager.connect(peer.websocket, "bob", connection_id="x")
    late.frame({"type": "websocket.connect"})
    with pytest.raises(WebSocketDisconnect):
        await connecting
    assert late.closed_with == 1000 and manager.registry.get("x") is connection
    await manager.broadcast({"n": 1})
    await manager.backend.publish(connection.address, {"n": 2})
    assert sorted(frame["n"] for frame in await peer.hear_all(2)) == [1, 2]
    assert await manager.count_connections() == 1


class Away(InMemoryChannelLayer):
    """No group can be joined, and no channel given up."""

    async def group_add(self, group: str, channel: str, last: int | None = None) -> None:
        raise OSError("away")

    async def detach(self, channel: str) -> None:
        raise OSError("away")


async def test_a_connection_that_its_layer_does_not_take_leaves_the_registry(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(layer=Away())
    with pytest.raises(ConnectionError) as raised:
        await manager.connect(Peer().websocket, "alice")
    assert raised.value.ws_code == 1013
    assert await manager.count_connections() == 0 and manager.registry.connections == {}


async def test_a_connect_that_is_cancelled(manager: ConnectionManager) -> None:
    peer = Peer()
    peer.stop_reading()
    connecting = asyncio.ensure_future(manager.connect(peer.websocket, "alice"))
    await until_async(lambda: manager.registry.connections, "it waits for the client")
    connecting.cancel()
    await asyncio.wait((connecting,))
    assert manager.registry.connections == {} and await manager.count_connections() == 0


async def test_a_connect_that_is_cancelled_at_any_moment(manager: ConnectionManager) -> None:
    """Whatever has been done by then is undone, if not at once then soon."""
    for moment in range(30):
        connecting = asyncio.ensure_future(manager.connect(Peer().websocket, "alice"))
        for _ in range(moment):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait((connecting,))
        if not connecting.cancelled():
            await manager.disconnect(connecting.result())
    await until_it_is(0, manager.count_connections)
    assert manager.registry.connections == {} and manager.switchboard().relays.groups == {}


async def test_a_client_that_is_gone_is_taken_out_when_it_cannot_be_written_to(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice", "room")
    _, other_peer = await connect("bob", "room")
    peer.gone = True
    await manager.send_to_group("room", {"n": 1})
    assert await other_peer.hear_json() == {"n": 1}
    await until_async(lambda: connection.state is ConnectionState.DISCONNECTED, "it is taken out")
    assert connection.close_code == 1006
    await until_async(lambda: manager.statistics.disconnected == 1, "counted")
    assert await manager.count_connections() == 1


async def test_session_ends_the_connection_whatever_ends_the_block(manager: ConnectionManager) -> None:
    peer = Peer()
    async with manager.session(peer.websocket, "alice") as connection:
        peer.leave(1001)
        await peer.websocket.receive()
    assert connection.close_code == 1001 and await manager.count_connections() == 0
    peer = Peer()
    with pytest.raises(KeyError):
        async with manager.session(peer.websocket, "alice"):
            raise KeyError("x")
    assert peer.closed_with == 1011 and await manager.count_connections() == 0
    peer = Peer()
    async with manager.session(peer.websocket, "alice"):
        pass
    assert peer.closed_with == 1000


async def test_disconnect_user(connect: Connect, manager: ConnectionManager) -> None:
    peers = [(await connect("alice"))[1] for _ in range(3)]
    _, other = await connect("bob")
    assert await manager.disconnect_user("alice", 4001) == 3
    assert [peer.closed_with for peer in peers] == [4001] * 3 and other.closed_with is None
    assert await manager.count_connections() == 1


async def test_a_client_that_does_not_read_delays_no_other_ending_of_its_user(
    connect: Connect, manager: ConnectionManager
) -> None:
    (first, stuck), (_, second), (_, third) = [await connect("alice") for _ in range(3)]
    stuck.stop_reading()
    manager.push(first, frame_of({"n": 1}, manager.serializer))
    ending = asyncio.ensure_future(manager.disconnect_user("alice", 4001))
    await until_async(lambda: second.closed_with == third.closed_with == 4001, "the others are closed")
    assert not ending.done()
    assert await ending == 3


async def test_an_error_at_one_connection_leaves_no_other_of_its_user_open(
    connect: Connect, manager: ConnectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = [(await connect("alice"))[1] for _ in range(3)]
    disconnect, failures = manager.disconnect, [BackendError("no Redis")]

    async def failing(*arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await disconnect(*arguments)

    monkeypatch.setattr(manager, "disconnect", failing)
    with pytest.raises(BackendError):
        await manager.disconnect_user("alice", 4001)
    assert sorted(peer.closed_with == 4001 for peer in peers) == [False, True, True]


# Groups


async def test_joining_and_leaving(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    await manager.join_group(connection, "room")
    await manager.join_group(connection, "room")
    assert connection.groups == {"room"}
    assert await manager.list_groups() == {"room": 1}
    await manager.send_to_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    await manager.leave_group(connection, "room")
    await manager.leave_group(connection, "room")
    await manager.send_to_group("room", {"n": 2})
    assert connection.groups == set() and await manager.list_groups() == {} and peer.unheard == []


async def test_joining_with_a_connection_that_is_not_there(manager: ConnectionManager) -> None:
    with pytest.raises(ConnectionError, match="not connected") as raised:
        await manager.join_group("nobody", "room")
    assert raised.value.error_code == "UNKNOWN_CONNECTION"
    await manager.leave_group("nobody", "room")
    assert await manager.count_groups() == 0
    with pytest.raises(TypeError, match="a Connection or its id"):
        await manager.join_group(42, "room")  # type: ignore[arg-type]


async def test_many_join_and_leave_one_group_at_once(connect: Connect, manager: ConnectionManager) -> None:
    made = [await connect(f"u{index}") for index in range(30)]

    async def restless(connection: Connection) -> None:
        for _ in range(5):
            await manager.join_group(connection, "room")
            await manager.leave_group(connection, "room")
        await manager.join_group(connection, "room")

    await asyncio.gather(*(restless(connection) for connection, _ in made))
    await manager.send_to_group("room", {"n": 1})
    for _, peer in made:
        assert await peer.hear_json() == {"n": 1}
        assert peer.unheard == []
    assert await manager.list_groups() == {"room": 30}


@pytest.mark.parametrize("orders", ["join leave", "leave join", "join leave join", "leave join leave"])
async def test_the_last_order_counts(connect: Connect, manager: ConnectionManager, orders: str) -> None:
    connection, peer = await connect("alice", *(["room"] if orders.startswith("leave") else []))
    does = {"join": manager.join_group, "leave": manager.leave_group}
    await asyncio.gather(*(does[order](connection, "room") for order in orders.split()))
    member = orders.endswith("join")
    assert connection.groups == ({"room"} if member else set())
    assert await manager.list_groups() == ({"room": 1} if member else {})
    await manager.send_to_group("room", {"n": 1})
    await manager.send(connection, {"n": 2})
    assert await peer.hear_all(1 + member) == ([{"n": 1}, {"n": 2}] if member else [{"n": 2}])


async def test_a_join_that_is_cancelled_lets_the_next_one_through(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice")
    for moment in range(20):
        joining = asyncio.ensure_future(manager.join_group(connection, "room"))
        leaving = asyncio.ensure_future(manager.leave_group(connection, "room"))
        for _ in range(moment):
            await asyncio.sleep(0)
        joining.cancel()
        await asyncio.wait((joining, leaving))
        assert connection.groups == set() and leaving.exception() is None
    await manager.join_group(connection, "room")
    await manager.send_to_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}


async def test_a_connection_that_ends_while_it_joins(connect: Connect, manager: ConnectionManager) -> None:
    for moment in range(12):
        connection, _ = await connect("alice")
        joining = [asyncio.ensure_future(manager.join_group(connection, group)) for group in ("room", "hall")]
        for _ in range(moment):
            await asyncio.sleep(0)
        await manager.disconnect(connection)
        for outcome in await asyncio.gather(*joining, return_exceptions=True):
            assert outcome is None or getattr(outcome, "error_code", "") == "UNKNOWN_CONNECTION"
        assert await manager.list_groups() == {} and manager.switchboard().relays.groups == {}
        assert connection.groups == set()


@pytest.mark.parametrize("group", ["room:general", "café", "x" * 300, "日本 語"])
async def test_any_text_is_a_group(connect: Connect, manager: ConnectionManager, group: str) -> None:
    connection, peer = await connect("alice", group)
    await manager.send_to_group(group, {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    assert connection.groups == {group} and await manager.count_group(group) == 1
    await manager.leave_group(connection, group)
    assert await manager.count_groups() == 0


@pytest.mark.parametrize("wrong", ["", None, 3])
async def test_a_group_must_be_a_name(connect: Connect, manager: ConnectionManager, wrong: Any) -> None:
    connection, _ = await connect("alice")
    with pytest.raises(TypeError, match="non-empty string"):
        await manager.join_group(connection, wrong)
    with pytest.raises(TypeError, match="non-empty string"):
        await manager.send_to_group(wrong, {"n": 1})


# Limits


async def test_the_limit_of_a_user(make_manager: MakeManager, caplog: pytest.LogCaptureFixture) -> None:
    manager = make_manager(MAX_CONNECTIONS_PER_CLIENT=2)
    connect = connector(manager)
    first, _ = await connect("alice")
    await connect("alice")
    await connect("bob")
    peer = Peer()
    with caplog.at_level(logging.WARNING, "compat.manager"), pytest.raises(ConnectionError) as raised:
        await manager.connect(peer.websocket, "alice")
    error = raised.value
    assert (error.error_code, error.ws_code, error.code) == ("CONNECTION_LIMIT_EXCEEDED", 1013, 1013)
    assert error.details == {"limit": 2, "current": 2, "of": "user"} and error.should_disconnect()
    assert peer.accepted is None and peer.websocket.application_state is WebSocketState.CONNECTING
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert manager.statistics.refused == 1
    await manager.disconnect(first)
    await connect("alice")
    for _ in range(4):
        await connect()  # those of nobody in particular are not counted together
    assert await manager.count_connections() == 7


async def test_the_limit_of_all(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_TOTAL_CONNECTIONS=10)
    peers = [Peer() for _ in range(100)]
    outcomes = await asyncio.gather(
        *(manager.connect(peer.websocket, f"u{index % 7}") for index, peer in enumerate(peers)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ConnectionError)]
    assert len(refused) == 90 and {error.error_code for error in refused} == {"CONNECTION_LIMIT_EXCEEDED"}
    assert {error.details["of"] for error in refused} == {"total"}
    assert sum(peer.accepted is not None for peer in peers) == 10 == await manager.count_connections()
    assert len(manager.registry.connections) == 10


async def test_the_limit_of_groups(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_TOTAL_GROUPS=2)
    connect = connector(manager)
    alice, peer = await connect("alice", "one", "two")
    bob, _ = await connect("bob", "one")
    with pytest.raises(SystemError, match="MAX_TOTAL_GROUPS") as raised:
        await manager.join_group(bob, "three")
    assert raised.value.error_code == "GROUP_LIMIT_EXCEEDED" and not raised.value.should_disconnect()
    assert bob.groups == {"one"}
    await manager.send_to_group("three", {"n": 1})
    await manager.leave_group(alice, "two")
    await manager.join_group(bob, "three")
    assert await manager.list_groups() == {"one": 2, "three": 1}
    assert peer.unheard == []


# Pages


def from_page(origin: str | None) -> Peer:
    peer = Peer()
    peer.scope["headers"] = [] if origin is None else [(b"origin", origin.encode())]
    return peer


async def test_pages_of_other_sites_are_refused_where_hosts_are_configured(
    manager: ConnectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    with override(ALLOWED_HOSTS=["example.com"], CHANNEL_ORIGIN_CHECK=True):
        await manager.connect(from_page("https://example.com").websocket)
        for origin in ("https://evil.example", "null", None):
            peer = from_page(origin)
            with pytest.raises(ConnectionError) as raised:
                await manager.connect(peer.websocket)
            assert raised.value.error_code == "ORIGIN_NOT_ALLOWED" and peer.accepted is None
        assert "'https://evil.example' is not among ALLOWED_HOSTS, which has 'example.com'" in caplog.text
        with override(CHANNEL_ORIGIN_CHECK=False):
            await manager.connect(from_page("https://evil.example").websocket)
    assert await manager.count_connections() == 2 and manager.statistics.refused == 3


async def test_pages_of_ones_own(make_manager: MakeManager) -> None:
    manager = make_manager(allowed_origins=["https://example.com"])
    await manager.connect(from_page("https://example.com").websocket)
    with pytest.raises(ConnectionError, match="Pages of this site may not connect"):
        await manager.connect(from_page("http://example.com").websocket)
    with pytest.raises(TypeError, match="allowed_origins must be a list"):
        make_manager(allowed_origins="example.com")


async def test_without_a_check_there_is_one_warning(
    manager: ConnectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    await manager.connect(from_page(None).websocket)
    assert caplog.records == []
    with override(CHANNEL_ORIGIN_CHECK=True):
        for _ in range(2):
            await manager.connect(from_page("https://anywhere.example").websocket)
    assert [record.name for record in caplog.records] == ["compat.security"]
    assert "no Origin check stands in front of the connection manager" in caplog.text
