"""Sending to one, to a user, to a group, to all: on both backends, from coroutines, threads and loops."""

from __future__ import annotations

import asyncio
import base64
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from starlette.websockets import WebSocketDisconnect

from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import get_channel_layer, register_channel_layer
from compat.manager import ConnectionManager, Message, relay
from compat.manager.backends import MemoryBackend
from compat.manager.exceptions import BackendError, ValidationError
from compat.manager.frames import text_frame
from compat.manager.serializers import MsgpackSerializer, ORJSONSerializer
from compat.testing import WebsocketCommunicator
from tests.support.layers import ReceiveOnlyLayer
from tests.support.logs import recorded
from tests.support.waiting import turns, until_async
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer


async def test_send_to_one(connect: Connect, manager: ConnectionManager) -> None:
    alice, peer = await connect("alice")
    _, other = await connect("bob")
    assert await manager.send_personal(alice, {"n": 1}) is True
    assert await manager.send(alice.channel_name, {"n": 2}) is True
    assert await manager.send("nobody", {"n": 3}) is False
    assert await peer.hear_all(2) == [{"n": 1}, {"n": 2}] and other.unheard == []


async def test_send_to_a_user(connect: Connect, manager: ConnectionManager) -> None:
    peers = [(await connect("alice"))[1] for _ in range(3)]
    _, other = await connect("bob")
    assert await manager.send_to_user("alice", {"n": 1}) == 3
    assert await manager.send_to_user("nobody", {"n": 1}) == 0 == await manager.send_to_user("", {"n": 1})
    assert [await peer.hear_json() for peer in peers] == [{"n": 1}] * 3 and other.unheard == []


async def test_send_to_a_group(connect: Connect, manager: ConnectionManager) -> None:
    _, one = await connect("alice", "room")
    _, two = await connect("bob", "room", "hall")
    _, three = await connect("carol", "hall")
    await manager.send_to_group("room", {"n": 1})
    await manager.send_group("room", {"n": 2})
    await manager.send_to_group("hall", {"n": 3})
    await manager.send_to_group("nobody is here", {"n": 4})
    assert await one.hear_all(2) == [{"n": 1}, {"n": 2}]
    assert await two.hear_all(3) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert await three.hear_json() == {"n": 3} and one.unheard == three.unheard == []


async def test_all_but_some(connect: Connect, manager: ConnectionManager) -> None:
    alice, one = await connect("alice", "room")
    bob, two = await connect("bob", "room", connection_id="bob's")
    _, three = await connect("carol", "room")
    await manager.send_group_except("room", {"n": 1}, alice)
    await manager.send_group_except("room", {"n": 2}, bob.channel_name)
    await manager.send_group_except("room", {"n": 3}, [alice, "bob's"])
    await manager.send_group_except("room", {"n": 4}, "nobody")
    assert await one.hear_all(2) == [{"n": 2}, {"n": 4}]
    assert await two.hear_all(2) == [{"n": 1}, {"n": 4}]
    assert await three.hear_all(4) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]  # and no trace of __except__


async def test_broadcast(connect: Connect, manager: ConnectionManager) -> None:
    peers = [(await connect(user))[1] for user in ("alice", "bob", None)]
    await manager.broadcast({"n": 1})
    assert [await peer.hear_json() for peer in peers] == [{"n": 1}] * 3
    assert await manager.count_groups() == 0  # everybody is no group that anybody joined


async def test_order_is_kept_and_nothing_is_lost(connect: Connect, manager: ConnectionManager) -> None:
    connections = [await connect("alice", "room") for _ in range(5)]
    for number in range(500):
        await manager.send_to_group("room", {"n": number})
    for _, peer in connections:
        assert await peer.hear_all(500) == [{"n": number} for number in range(500)]
    assert manager.statistics.dropped == {}


class Colour(Enum):
    RED = "red"


async def test_the_same_values_travel_on_every_backend(connect: Connect, manager: ConnectionManager) -> None:
    _, peer = await connect("alice", "room")
    one, at = uuid.uuid4(), datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    content = {
        "id": one,
        "at": at,
        "colour": Colour.RED,
        "price": Decimal("1.50"),
        "tags": {"x"},
        "pair": (1, 2),
        "raw": b"\x00\xff",
        "deep": [{"id": one, 5: None}],
        "message": Message(type="t", data=1, created_at=2.0),
        "text": "é\n\u2028",
    }
    await manager.send_to_group("room", content)
    heard = await peer.hear_json()
    assert heard == {
        "id": str(one),
        "at": "2026-01-02T03:04:05+00:00",
        "colour": "red",
        "price": "1.50",
        "tags": ["x"],
        "pair": [1, 2],
        "raw": "AP8=",
        "deep": [{"id": str(one), "5": None}],
        "message": Message(type="t", data=1, created_at=2.0).to_dict(),
        "text": "é\n\u2028",
    }


@pytest.mark.parametrize("wrong", [{"x": object()}, {"x": [object]}])
async def test_what_cannot_travel_fails_at_the_sender(
    connect: Connect, manager: ConnectionManager, wrong: Any
) -> None:
    alice, _ = await connect("alice", "room")
    for send in (
        manager.send_to_group("room", wrong),
        manager.broadcast(wrong),
        manager.send(alice, wrong),
        manager.send_to_user("alice", wrong),
    ):
        with pytest.raises(TypeError, match="no form in JSON"):
            await send
    with pytest.raises(TypeError, match="a message is a dict"):
        await manager.broadcast("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "__manager__", "do": "disconnect", "with": [1000]},
        {"type": "compat.close", "code": 4000},
        {"type": "compat_close"},
        {"type": "websocket.disconnect", "code": 1000},
        {"type": "websocket_receive", "text": "as another client"},
        {"type": "typed.event"},
        {"type": "receive.json", "action": "delete"},
        {"type": "presence.diff", "joins": {}, "leaves": {}},
        {"type": "_private"},
        {"type": "compat.person", "message": {"type": "compat.close"}},
        {"type": ["unhashable"], "__except__": []},
        {"type": "x", "__except__": ["somebody"]},
        {"type": "x", "__asgi_channel__": "specific.x"},
        {"type": "x", "__exclude__": ["somebody"]},
    ],
)
async def test_messages_cannot_be_orders(connect: Connect, manager: ConnectionManager, message: Any) -> None:
    alice, peer = await connect("alice", "room")
    for send in (
        manager.send(alice, message),
        manager.send_to_user("alice", message),
        manager.send_to_group("room", message),
        manager.send_group_except("room", message, "nobody"),
        manager.broadcast(message),
    ):
        with pytest.raises(ValidationError) as raised:
            await send
        assert raised.value.error_code == "RESERVED_NAME"
    # Past the manager, in a group: nobody obeys it.
    await manager.backend.layer.group_send(
        "room", {"type": "__manager__", "do": "disconnect", "with": [1000]}
    )
    assert (await peer.hear_json())["do"] == "disconnect" and alice.is_alive


async def test_messages_and_bytes(connect: Connect, manager: ConnectionManager) -> None:
    alice, peer = await connect("alice", "room")
    await manager.send_to_group("room", Message(type="file", binary_data=b"\x00\x01"))
    await manager.send(alice, {"type": "file", "binary_data": base64.b64encode(b"xyz").decode()})
    await manager.send_to_group("room", Message(type="note", data={"n": 1}))
    assert (await peer.hear())["bytes"] == b"\x00\x01" and (await peer.hear())["bytes"] == b"xyz"
    heard = await peer.hear_json()
    assert (heard["type"], heard["data"], heard["priority"]) == ("note", {"n": 1}, "normal")


async def test_an_event_that_is_no_frame_is_counted_and_logged_once(
    connect: Connect, manager: ConnectionManager
) -> None:
    _, peer = await connect("alice", "room")
    with recorded() as records:
        for _ in range(3):
            await manager.backend.layer.group_send("room", {"type": "x", "value": b"\xff"})
        await manager.send_to_group("room", {"n": 1})
        assert await peer.hear_json() == {"n": 1}
    assert manager.statistics.dropped == {"unencodable": 3}
    assert len([line for line in records.messages() if "cannot be sent to clients" in line]) == 1


# Slow clients


async def test_a_slow_client_holds_up_nobody(connect: Connect, manager: ConnectionManager) -> None:
    _, slow = await connect("slow", "room")
    _, fast = await connect("fast", "room")
    slow.stop_reading()
    for number in range(200):
        await manager.send_to_group("room", {"n": number})
    assert await fast.hear_all(200) == [{"n": number} for number in range(200)]
    slow.go_on_reading()
    assert await slow.hear_all(200) == [{"n": number} for number in range(200)]


@pytest.mark.parametrize("policy, kept", [("drop", range(0, 11)), ("drop_oldest", [0, *range(40, 50)])])
async def test_what_is_too_much_for_a_client_is_dropped(
    make_manager: MakeManager, policy: Any, kept: Any
) -> None:
    manager = make_manager(outbox_frames=10, on_overflow=policy)
    connect = connector(manager)
    _, slow = await connect("slow", "room")
    _, fast = await connect("fast", "room")
    slow.stop_reading()
    with recorded() as records:
        for number in range(50):
            await manager.send_to_group("room", {"n": number})
            assert await fast.hear_json() == {"n": number}
    slow.go_on_reading()
    # The first was on its way when the client stopped; ten wait.
    assert await slow.hear_all(11) == [{"n": number} for number in kept]
    assert manager.statistics.dropped == {"slow client": 39}
    assert len([line for line in records.messages() if "reads too slowly" in line]) == 1


async def test_what_waits_is_bounded_in_bytes(make_manager: MakeManager) -> None:
    manager = make_manager(WS_MAX_MESSAGE_SIZE=1000, outbox_bytes=1)
    connection, slow = await connector(manager)("slow", "room")
    slow.stop_reading()
    await manager.send(connection, {"big": "x" * 10_000})  # alone, anything may go
    for _ in range(30):
        await manager.send(connection, {"big": "x" * 90})
    assert connection.outbox is not None and len(connection.outbox) == 10
    slow.go_on_reading()


async def test_a_send_that_is_cancelled_keeps_nobody_waiting(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, slow = await connect("slow")
    outbox = connection.outbox
    assert outbox is not None
    slow.stop_reading()
    sending = asyncio.ensure_future(outbox.send(text_frame("x")))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(outbox.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    sending.cancel()
    await asyncio.wait_for(waiting, 15)
    slow.go_on_reading()


async def test_a_large_frame_replaces_as_many_small_ones_as_it_needs(make_manager: MakeManager) -> None:
    manager = make_manager(WS_MAX_MESSAGE_SIZE=1000, outbox_bytes=1, on_overflow="drop_oldest")
    connection, slow = await connector(manager)("slow", "room")
    slow.stop_reading()
    for _ in range(11):  # the first is on its way; ten of 100 bytes wait
        await manager.send(connection, {"small": "x" * 88})
    outbox = connection.outbox
    assert outbox is not None and len(outbox) == 10 and manager.statistics.dropped == {}
    await manager.send(connection, {"large": "x" * 488})  # of 500 bytes: it replaces five
    assert len(outbox) == 6 and manager.statistics.dropped == {"slow client": 5}
    for _ in range(10):
        await manager.send(connection, {"large": "x" * 488})
    assert len(outbox) == 2
    slow.go_on_reading()


async def test_a_slow_client_can_be_closed(make_manager: MakeManager) -> None:
    manager = make_manager(outbox_frames=5, on_overflow="close")
    connection, slow = await connector(manager)("slow", "room")
    slow.stop_reading()
    for number in range(10):
        await manager.send_to_group("room", {"n": number})
    await until_async(lambda: manager.registry.connections == {}, "it is taken out")
    assert connection.close_code == 1013
    slow.go_on_reading()
    await until_async(lambda: slow.closed_with == 1013, "it is told")


@pytest.mark.parametrize("sent", ["one frame", "more than one"])
async def test_a_slow_client_is_told_why_also_if_its_endpoint_is_sending(
    make_manager: MakeManager, sent: str
) -> None:
    """Was: the endpoint saw a client that is gone (1006), and its end of the connection sent no close."""
    manager = make_manager(outbox_frames=5, on_overflow="close")
    slow, codes = Peer(), list[int]()

    async def endpoint() -> None:
        async with manager.session(slow.websocket, "slow") as connection:
            slow.stop_reading()
            assert connection.outbox is not None
            if sent != "one frame":
                connection.outbox.push(text_frame("waits"))
            try:
                await connection.outbox.send(text_frame("own"))
            except WebSocketDisconnect as end:
                codes.append(end.code)
                slow.go_on_reading()
                raise

    running = asyncio.get_running_loop().create_task(endpoint())
    await until_async(lambda: bool(manager.registry.connections), "it has come")
    while codes == [] and not running.done():
        await manager.send_to_user("slow", {"type": "news"})
        await asyncio.sleep(0)
    await running
    assert codes == [1013] and slow.closed_with == 1013


# With consumers, on one layer


class Room(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "chat.message", **content})


async def test_consumers_and_clients_see_each_others_groups(
    connect: Connect, manager: ConnectionManager
) -> None:
    alice, peer = await connect("alice", "room")
    assert (
        get_channel_layer() is manager.backend.layer
    )  # nothing was configured: the manager's is the default
    consumer = WebsocketCommunicator(Room.as_asgi(), "/")
    assert (await consumer.connect())[0]
    await manager.send_to_group("room", {"type": "chat.message", "text": "from the manager"})
    event = {"type": "chat.message", "text": "from the manager"}
    assert await consumer.receive_json_from() == event == await peer.hear_json()
    await consumer.send_json_to({"text": "from the consumer"})
    event = {"type": "chat.message", "text": "from the consumer"}
    assert await consumer.receive_json_from() == event == await peer.hear_json()
    await manager.send_group_except("room", {"type": "chat.message", "text": "not alice"}, alice)
    heard = await consumer.receive_json_from()
    assert heard["text"] == "not alice" and peer.unheard == []
    await consumer.disconnect()


async def test_a_connections_channel_is_a_channel(connect: Connect, manager: ConnectionManager) -> None:
    alice, peer = await connect("alice")
    layer = manager.backend.layer
    await layer.send(alice.channel_name, {"type": "hello", "n": 1})
    await layer.group_add("by.hand", alice.channel_name)
    await layer.group_send("by.hand", {"type": "hello", "n": 2})
    assert await peer.hear_all(2) == [{"type": "hello", "n": 1}, {"type": "hello", "n": 2}]


async def test_consumers_that_join_everybodys_group_hear_broadcasts(manager: ConnectionManager) -> None:
    class Listener(Room):
        groups = ["__broadcast__"]

    register_channel_layer("default", manager.backend.layer)
    consumer = WebsocketCommunicator(Listener.as_asgi(), "/")
    assert (await consumer.connect())[0]
    await manager.broadcast({"type": "chat.message", "n": 1})
    assert await consumer.receive_json_from() == {"type": "chat.message", "n": 1}
    await consumer.disconnect()


async def test_faults_tests_group_users_are_listed_once(manager: ConnectionManager, connect: Connect) -> None:
    for user in ("bob", "alice", "bob", "alice", "alice", ""):
        await connect(user, "room")
    await connect("carol", "hall")
    assert await manager.get_group_users("room") == ["alice", "bob"]
    assert len(await manager.get_group_connections("room")) == 6


RESERVED_GROUPS = ["__broadcast__", "__", "__manager__", "compat.user.alice", "compat.topic.Run.1"]


@pytest.mark.parametrize("group", RESERVED_GROUPS)
async def test_faults_security_m4_the_librarys_own_groups_cannot_be_named(
    manager: ConnectionManager, connect: Connect, group: str
) -> None:
    (alice, one), (_, two) = await connect("alice"), await connect("bob")
    attempts: list[Any] = [
        lambda: manager.join_group(alice, group),
        lambda: manager.leave_group(alice, group),
        lambda: manager.send_group(group, {"n": 0}),
        lambda: manager.send_to_group(group, {"n": 0}),
        lambda: manager.send_group_except(group, {"n": 0}, alice),
        lambda: manager.get_group_connections(group),
        lambda: manager.get_group_users(group),
        lambda: manager.count_group(group),
        lambda: manager.backend.group_add(group, alice.address),
        lambda: manager.backend.group_discard(group, alice.address),
        lambda: manager.backend.group_send(group, {"n": 0}),
    ]
    for attempt in attempts:
        with pytest.raises(ValidationError, match="kept for groups of the library itself") as raised:
            await attempt()
        assert raised.value.error_code == "RESERVED_NAME" and not raised.value.should_disconnect()
    await manager.broadcast({"n": 1})
    assert await one.hear_json() == {"n": 1} == await two.hear_json()
    assert alice.groups == set() and await manager.list_groups() == {}


async def test_faults_security_m4_what_looks_like_them_is_another_group(
    manager: ConnectionManager, connect: Connect
) -> None:
    (alice, one), (_, two) = await connect("alice"), await connect("bob")
    for group in ("_", "broadcast", "\uff3f\uff3fbroadcast__", " __broadcast__", "compat"):
        await manager.join_group(alice, group)
        await manager.send_group(group, {"to": group})
        assert await one.hear_json() == {"to": group}
        await manager.leave_group(alice, group)
    await manager.broadcast({"n": 1})
    assert await one.hear_json() == {"n": 1} == await two.hear_json()


async def test_a_layer_that_only_receives_will_do() -> None:
    manager = ConnectionManager(backend=MemoryBackend(ReceiveOnlyLayer()))
    connect = connector(manager)
    alice, one = await connect("alice", "room")
    _, two = await connect("bob", "room")
    await manager.send_group_except("room", {"n": 1}, alice)
    await manager.broadcast({"n": 2})
    assert await two.hear_all(2) == [{"n": 1}, {"n": 2}] and await one.hear_json() == {"n": 2}
    await manager.leave_group(alice, "room")
    await manager.send_to_group("room", {"n": 3})
    assert await two.hear_json() == {"n": 3} and one.unheard == []
    await manager.stop_tasks()
    assert manager.backend.layer.groups["room"] == set()


class Stuck(ReceiveOnlyLayer):
    """No channel can leave a group; ``read`` has the channels that somebody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    async def receive(self, channel: str) -> Any:
        self.read.add(channel)
        try:
            return await super().receive(channel)
        finally:
            self.read.discard(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        raise OSError("away")


async def test_a_group_that_cannot_be_left_is_read_no_more() -> None:
    layer = Stuck()
    manager = ConnectionManager(backend=MemoryBackend(layer))
    alice, _ = await connector(manager)("alice")
    await turns()
    before = set(layer.read)
    await manager.join_group(alice, "room")
    await until_async(lambda: layer.read != before, "the group's channel is read")
    with pytest.raises(BackendError):
        await manager.leave_group(alice, "room")
    assert layer.read == before
    await manager.stop_tasks()


class Failing(ReceiveOnlyLayer):
    """Its ``receive()`` fails, once its server is away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = asyncio.Event()

    async def receive(self, channel: str) -> Any:
        taking = asyncio.ensure_future(super().receive(channel))
        leaving = asyncio.ensure_future(self.away.wait())
        done, _ = await asyncio.wait((taking, leaving), return_when=asyncio.FIRST_COMPLETED)
        for one in (taking, leaving):
            one.cancel()
        if taking not in done:
            raise OSError("the server has gone")
        return taking.result()


async def test_clients_that_no_message_reaches_any_more_are_sent_away() -> None:
    """Was: one line in the log, and connections that stayed open and heard nothing, with who joined later."""
    layer = Failing()
    manager = ConnectionManager(backend=MemoryBackend(layer))
    connect = connector(manager)
    _, one = await connect("alice", "room")
    _, two = await connect("bob", "room")
    with recorded() as records:
        layer.away.set()
        await until_async(lambda: (one.closed_with, two.closed_with) == (1013, 1013), "both are closed")
    assert "the server has gone" in "\n".join(records.messages())
    layer.away.clear()
    await until_async(lambda: not manager.registry.get_all(), "they have left")
    await until_async(lambda: not any(layer.groups.values()), "nothing of them is left in a group")
    _, three = await connect("eve", "room")
    await manager.send_to_group("room", {"n": 1})
    assert await three.hear_json() == {"n": 1}
    await manager.stop_tasks()


class SlowToJoin(Failing):
    """The answer to ``group_add`` of a room takes until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.added, self.answers = asyncio.Event(), asyncio.Event()

    async def group_add(self, group: str, channel: str) -> None:
        await super().group_add(group, channel)
        if group == "room":
            self.added.set()
            await self.answers.wait()


@pytest.mark.parametrize("why", ["it cannot be read", "nobody waits"])
async def test_a_group_that_could_not_be_opened_has_no_channel_in_the_layer(why: str) -> None:
    """Was: each attempt left one more member in the layer's group, which nobody read."""
    layer = SlowToJoin()
    manager = ConnectionManager(backend=MemoryBackend(layer))
    alice, _ = await connector(manager)("alice")
    joining = asyncio.ensure_future(manager.join_group(alice, "room"))
    await layer.added.wait()
    assert len(layer.groups["room"]) == 1
    if why == "nobody waits":
        joining.cancel()
    else:
        layer.away.set()
        await turns()
        layer.answers.set()
    with pytest.raises((BackendError, asyncio.CancelledError)):
        await joining
    assert layer.groups["room"] == set()
    await manager.stop_tasks()


class Silent(SlowToJoin):
    """Its server does not answer."""

    async def group_discard(self, group: str, channel: str) -> None:
        await self.answers.wait()


async def test_who_no_longer_waits_to_join_does_not_wait_for_a_silent_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: a cancelled join waited without end, and so did all who wanted to join or leave the group."""
    monkeypatch.setattr(relay, "LAYER_TIMEOUT_S", 0.01)
    layer = Silent()
    manager = ConnectionManager(backend=MemoryBackend(layer))
    alice, _ = await connector(manager)("alice")
    joining = asyncio.ensure_future(manager.join_group(alice, "room"))
    await layer.added.wait()
    joining.cancel()
    await asyncio.wait((joining,), timeout=5)
    assert joining.cancelled()
    layer.answers.set()
    await manager.join_group(alice, "room")
    await manager.stop_tasks()


class NeverLeft(Failing):
    """It does not answer who leaves a group."""

    async def group_discard(self, group: str, channel: str) -> None:
        await asyncio.Event().wait()


async def test_an_end_does_not_wait_for_a_silent_layer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: the connection never ended, and so did all who wanted to join its groups or leave them."""
    monkeypatch.setattr(relay, "LAYER_TIMEOUT_S", 0.01)
    layer = NeverLeft()
    manager = ConnectionManager(backend=MemoryBackend(layer))
    alice, _ = await connector(manager)("alice", "room")
    ending = asyncio.ensure_future(manager.disconnect(alice))
    await asyncio.wait((ending,), timeout=5)
    assert ending.done() and await manager.count_connections() == 0
    assert "the backend will be told later" in caplog.text
    bob, peer = await connector(manager)("bob", "room")
    await manager.send_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}
    with pytest.raises(BackendError, match="has not answered within"):
        await manager.leave_group(bob, "room")
    await manager.stop_tasks()


# What clients get


async def test_other_formats_for_clients(make_manager: MakeManager) -> None:
    manager = make_manager(serializer=MsgpackSerializer())
    connection, peer = await connector(manager)("alice", "room")
    await manager.send_to_group("room", {"n": 1})
    assert MsgpackSerializer().loads((await peer.hear())["bytes"]) == {"n": 1}
    manager = make_manager(serializer=ORJSONSerializer())
    connection, peer = await connector(manager)("alice", "hall")
    await manager.send(connection, {"n": "é"})
    assert (await peer.hear())["text"] == '{"n":"é"}'


# From other threads and loops


def in_thread(work: Callable[[], Any]) -> asyncio.Future[Any]:
    """The result of `work` in a thread that has no event loop."""
    return asyncio.ensure_future(asyncio.to_thread(work))


async def test_blocking_forms_from_a_thread(connect: Connect, manager: ConnectionManager) -> None:
    alice, one = await connect("alice")
    _, two = await connect("bob", "room")

    def work() -> tuple[Any, ...]:
        manager.join_group_sync(alice, "room")
        manager.send_to_group_sync("room", {"n": 1})
        manager.send_group_except_sync("room", {"n": 2}, alice)
        manager.leave_group_sync(alice, "room")
        manager.broadcast_sync({"n": 3})
        sent = manager.send_sync(alice, {"n": 4})
        reached = manager.send_to_user_sync("bob", {"n": 5})
        return sent, reached, len(manager.get_user_connections_sync("bob")), manager.count_connections_sync()

    assert await in_thread(work) == (True, 1, 1, 2)
    assert await one.hear_all(3) == [{"n": 1}, {"n": 3}, {"n": 4}]
    assert await two.hear_all(4) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 5}]
    await in_thread(lambda: manager.disconnect_sync(alice, 4000))
    assert one.closed_with == 4000


async def test_blocking_forms_in_a_loop_name_the_other_form(manager: ConnectionManager) -> None:
    with pytest.raises(RuntimeError, match=r"await manager\.broadcast\(…\), or manager\.submit"):
        manager.broadcast_sync({"n": 1})


async def test_submit_works_everywhere(connect: Connect, manager: ConnectionManager) -> None:
    _, peer = await connect("alice")
    manager.submit(manager.broadcast({"n": 1}))
    assert await peer.hear_json() == {"n": 1}
    await in_thread(lambda: manager.submit(manager.broadcast({"n": 2})).result(10))
    assert await peer.hear_json() == {"n": 2}
    with recorded() as records:
        failed = manager.submit(manager.broadcast({"n": object()}))
        await until_async(failed.done, "it has failed")
        await until_async(lambda: records.kept, "which is logged")
    assert "submit() failed: TypeError" in records.messages()[0]


async def test_async_to_sync_from_a_thread(connect: Connect, manager: ConnectionManager) -> None:
    _, peer = await connect("alice", "room")

    def work() -> int:
        async_to_sync(manager.send_to_group)("room", {"n": 1})
        return async_to_sync(manager.send_to_user)("alice", {"n": 2})

    assert await in_thread(work) == 1
    assert sorted(heard["n"] for heard in await peer.hear_all(2)) == [1, 2]


async def test_connections_on_two_event_loops(connect: Connect, manager: ConnectionManager) -> None:
    """As Starlette's TestClient has it: a loop for each of its websockets."""
    alice, one = await connect("alice", "room")
    heard: list[Any] = []
    ready, joined_by_the_other = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        peer = Peer()
        bob = await manager.connect(peer.websocket, "bob")
        await manager.join_group(bob, "room")
        await manager.join_group(alice, "hall")
        ready.set()
        heard.extend(await peer.hear_all(4))
        await manager.send_to_group("room", {"n": 5})
        await asyncio.to_thread(joined_by_the_other.wait, 10)
        await manager.disconnect(bob)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    assert await asyncio.to_thread(ready.wait, 10)
    assert alice.groups == {"room", "hall"}
    await manager.send_to_group("room", {"n": 1})
    await manager.broadcast({"n": 2})
    assert await manager.send_to_user("bob", {"n": 3}) == 1
    [bob] = await manager.get_user_connections("bob")
    assert await manager.send(bob, {"n": 4})
    assert await one.hear_all(3) == [{"n": 1}, {"n": 2}, {"n": 5}]
    assert sorted(frame["n"] for frame in heard) == [1, 2, 3, 4]
    joined_by_the_other.set()
    await asyncio.to_thread(thread.join, 10)
    assert await manager.count_connections() == 1


async def test_disconnecting_a_connection_of_another_loop(manager: ConnectionManager) -> None:
    ready, over, closed = threading.Event(), threading.Event(), []

    async def elsewhere() -> None:
        peer = Peer()
        await manager.connect(peer.websocket, "bob")
        ready.set()
        await until_async(lambda: peer.closed_with is not None, "it is closed")
        closed.append(peer.closed_with)
        await until_async(over.is_set, "the disconnect, part of which runs on this loop, has returned")

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    assert await asyncio.to_thread(ready.wait, 10)
    assert await manager.disconnect_user("bob", 4002) == 1
    over.set()
    await asyncio.to_thread(thread.join, 10)
    assert closed == [4002] and await manager.count_connections() == 0


@pytest.mark.parametrize("user", [0, 42, ("ada",)])
async def test_a_user_is_named_by_a_text(connect: Connect, manager: ConnectionManager, user: Any) -> None:
    """Was: an error from three layers down, and 0 was nobody."""
    attempts: list[Any] = [
        lambda: connect(user),
        lambda: manager.send_to_user(user, {"n": 0}),
        lambda: manager.disconnect_user(user),
        lambda: manager.get_user_connections(user),
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match=r"user_id must be a str, such as str\(user\.pk\); found"):
            await attempt()
