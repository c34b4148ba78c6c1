"""start_tasks and stop_tasks, heartbeats, statistics, the one manager of a process, and what settings do."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import freezegun
import pytest
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from compat.engine.contracts import RESUMABLE_KEY
from compat.manager import (
    BaseConsumer,
    ConnectionManager,
    Message,
    WSConfig,
    app_manager,
    get_manager,
    set_manager,
)
from compat.manager.connections.state import now
from compat.manager.serializers import PickleSerializer
from compat.manager.serializers.pickle_serializer import PickleWarning
from compat.manager.typed import ConnectionState
from tests.support.logs import recorded
from tests.support.waiting import until_async
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer

# The one manager


def test_before_there_is_a_manager() -> None:
    with pytest.raises(RuntimeError, match=r"manager = ConnectionManager\(ws_config=WSConfig\(\)\)"):
        get_manager()


def test_the_first_is_the_manager_and_the_same_configuration_is_the_same_manager() -> None:
    first = ConnectionManager(ws_config=WSConfig())
    assert get_manager() is first is ConnectionManager() is ConnectionManager(ws_config=WSConfig())
    other = ConnectionManager(ws_config=WSConfig(LOG_STATS=True))
    assert other is not first and get_manager() is first
    assert ConnectionManager(outbox_frames=5) is not first
    named = ConnectionManager(ws_config=WSConfig(SERVER_INSTANCE_ID="me"))
    assert named is not first and named.server_instance_id == "me"
    assert set_manager(other) is first and get_manager() is other


def test_as_a_dependency() -> None:
    manager = ConnectionManager()
    app = SimpleNamespace(state=SimpleNamespace(manager=manager))
    assert app_manager(HTTPConnection({"type": "http", "app": app})) is manager
    empty = SimpleNamespace(state=SimpleNamespace())
    with pytest.raises(RuntimeError, match=r"app\.state\.manager = manager"):
        app_manager(HTTPConnection({"type": "http", "app": empty}))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"on_overflow": "explode"}, "expected 'drop', 'drop_oldest' or 'close'")],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConnectionManager(**options)


def test_clients_are_never_sent_pickles() -> None:
    with pytest.warns(PickleWarning):
        serializer = PickleSerializer("x" * 16)
    with pytest.raises(ValueError, match="clients are never sent this"):
        ConnectionManager(serializer=serializer)


# Start and stop


async def test_stop_closes_everything_and_start_begins_again(make_manager: MakeManager) -> None:
    manager = make_manager()
    connect = connector(manager)
    await manager.start_tasks()
    await manager.start_tasks()
    peers = [(await connect(f"u{index}", "room"))[1] for index in range(20)]
    await manager.stop_tasks()
    assert {peer.closed_with for peer in peers} == {1001}
    assert manager.registry.connections == {} and await manager.count_connections() == 0
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any("manager" in name for name in names)
    await manager.stop_tasks()
    await manager.start_tasks()
    _, peer = await connect("again", "room")
    await manager.send_to_group("room", {"n": 1})
    assert await peer.hear_json() == {"n": 1}


async def test_stop_takes_no_longer_than_it_may(make_manager: MakeManager) -> None:
    manager = make_manager()
    connection, peer = await connector(manager)("slow")
    peer.stop_reading()
    await manager.send(connection, {"n": 1})
    began = asyncio.get_running_loop().time()
    with recorded() as records:
        await manager.stop_tasks(timeout=0.2)
    # And not the four seconds that it is waited otherwise.
    assert asyncio.get_running_loop().time() - began < 3.5
    assert "did not close in 0.2 s" in records.messages()[-1]


def test_stop_in_one_event_loop_leaves_the_ends_in_another_to_it() -> None:
    """Was: a stop that takes too long cancelled these, too."""
    manager = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="memory"))
    ending, stopped = threading.Event(), threading.Event()

    async def ends() -> int | None:
        connection, peer = await connector(manager)("another")
        peer.stop_reading()
        await manager.send(connection, {"n": 1})
        end = asyncio.ensure_future(manager.disconnect(connection))
        await until_async(lambda: connection.state is ConnectionState.DISCONNECTING, "it ends")
        ending.set()
        await until_async(stopped.is_set, "the other loop has stopped")
        peer.go_on_reading()
        await end
        return peer.closed_with

    async def stops() -> None:
        connection, peer = await connector(manager)("slow")
        peer.stop_reading()
        await manager.send(connection, {"n": 1})
        await until_async(ending.is_set, "the other loop is about to end its own")
        with recorded() as records:
            await manager.stop_tasks(timeout=0.01)
        stopped.set()
        assert "stop_tasks: 1 connections did not close" in records.messages()[-1]

    with ThreadPoolExecutor(1) as other:
        closed = other.submit(asyncio.run, ends())
        asyncio.run(stops())
        assert closed.result(20) == 1000


# Heartbeats


async def test_pings(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.05)
    connection, peer = await connector(manager)("alice")
    await manager.start_tasks()
    for _ in range(2):
        ping = await peer.hear_json()
        assert ping["type"] == "ping" and abs(ping["timestamp"] - now().timestamp()) < 60
    assert connection.heartbeat.missed_pings >= 2

    class Consumer(BaseConsumer):
        async def connect(self) -> None: ...

        async def receive(self, message: Message) -> None:
            raise AssertionError("a pong goes no further")

    before = connection.last_heartbeat
    await Consumer(connection, manager).handle_message(json_str='{"type": "pong"}')
    assert connection.heartbeat.missed_pings == 0 and connection.last_heartbeat > before
    assert connection.heartbeat.latency is not None and connection.heartbeat.is_alive()


async def test_a_silent_client_is_closed(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.5, WS_HEARTBEAT_TIMEOUT=2)
    silent, silent_peer = await connector(manager)("silent", "room")
    talking, talking_peer = await connector(manager)("talking", "room")
    reading = [asyncio.ensure_future(drain(peer)) for peer in (silent_peer, talking_peer)]
    await manager.start_tasks()
    while silent.state is not ConnectionState.DISCONNECTED:
        talking_peer.say("anything")
        await asyncio.sleep(0.02)
    assert silent_peer.closed_with == 1011 and silent.close_code == 1011
    assert talking.is_alive and talking_peer.closed_with is None
    assert manager.statistics.timed_out == 1
    assert await manager.list_groups() == {"room": 1}
    for task in reading:
        task.cancel()


async def drain(peer: Peer) -> None:
    """An endpoint that reads."""
    while True:
        await peer.websocket.receive()


async def test_silence_while_the_endpoint_is_busy_is_not_the_clients(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, peer = await connect("alice")
    connection.heartbeat_timeout = 0.01
    await until_async(lambda: not connection.is_alive, "it has been silent for too long")
    await manager._periodic.beat()
    assert connection.state is ConnectionState.CONNECTED  # nobody reads: it may well have answered
    reading = asyncio.ensure_future(peer.websocket.receive())
    await until_async(lambda: connection.reading, "now somebody does")
    await manager._periodic.beat()
    assert manager.registry.connections == {} and peer.closed_with == 1011
    reading.cancel()
    await asyncio.wait((reading,))


async def test_a_client_that_is_away_is_not_silent(connect: Connect, manager: ConnectionManager) -> None:
    """Was: closed with 1011, after which its page does not come back."""
    connection, peer = await connect("alice")
    reading = asyncio.ensure_future(drain(peer))
    await until_async(lambda: connection.reading, "its endpoint reads")
    resumed = SimpleNamespace(parked=True)
    connection.websocket.scope[RESUMABLE_KEY] = resumed
    connection.heartbeat_timeout = 0.0
    for _ in range(3):
        await manager._periodic.beat()
        assert connection.state is ConnectionState.CONNECTED and connection.heartbeat.missed_pings == 0
    connection.heartbeat_timeout = 60.0
    resumed.parked = False
    await manager._periodic.beat()
    assert connection.is_alive and (await peer.hear_json())["type"] == "ping"
    connection.heartbeat_timeout = 0.0
    await manager._periodic.beat()
    assert peer.closed_with == 1011
    reading.cancel()
    await asyncio.wait((reading,))


async def test_after_a_standstill_nobody_is_closed_before_a_ping(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.2, WS_HEARTBEAT_TIMEOUT=0.4)
    connection, peer = await connector(manager)("alice")
    reading = asyncio.ensure_future(drain(peer))
    await until_async(lambda: connection.reading, "its endpoint reads")
    await manager.start_tasks()
    await asyncio.sleep(0)
    time.sleep(1.0)  # the whole process stands still
    assert not connection.is_alive
    assert (await peer.hear_json())["type"] == "ping" and connection.state is ConnectionState.CONNECTED
    await until_async(lambda: peer.closed_with == 1011, "its client does not answer")
    reading.cancel()


@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(hours=1)], ids=["forward", "back"])
async def test_a_jump_of_the_wall_clock_is_no_silence(
    connect: Connect, manager: ConnectionManager, jump: timedelta
) -> None:
    connection, peer = await connect("alice")
    reading = asyncio.ensure_future(drain(peer))
    await until_async(lambda: connection.reading, "its endpoint reads")
    with freezegun.freeze_time(now() + jump):
        assert connection.is_alive and connection.heartbeat.is_alive()
        assert not connection.heartbeat.should_ping()
        assert 0 <= connection.idle_time < 60 and 0 <= connection.connection_duration < 60
        assert 0 <= manager.counters()["uptime"] < 60
        await manager._periodic.beat()
        assert connection.state is ConnectionState.CONNECTED
        connection.heartbeat_timeout = 0.0
        assert not connection.is_alive
        await manager._periodic.beat()
    assert peer.closed_with == 1011
    reading.cancel()
    await asyncio.wait((reading,))


async def test_heartbeats_can_be_switched_off(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.01, WS_HEARTBEAT_TIMEOUT=0.02, WS_ENABLE_HEARTBEAT=False)
    connection, peer = await connector(manager)("alice")
    reading = asyncio.ensure_future(drain(peer))
    await manager.start_tasks()
    assert "compat-manager-heartbeat" not in {task.get_name() for task in asyncio.all_tasks()}
    assert connection.state is ConnectionState.CONNECTED and peer.unheard == []
    reading.cancel()


async def test_a_heartbeat_that_fails_is_not_the_last(
    make_manager: MakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.02)
    _, peer = await connector(manager)("alice")
    beat = manager._periodic.beat
    failures: list[int] = []

    async def failing(ping: bool = True, **options: bool) -> None:
        if not failures:
            failures.append(1)
            raise KeyError("x")
        await beat(ping, **options)

    monkeypatch.setattr(manager._periodic, "beat", failing)
    with recorded() as records:
        await manager.start_tasks()
        assert (await peer.hear_json())["type"] == "ping"
    assert "a heartbeat failed" in records.messages()[0]


# Statistics


async def test_statistics_are_logged(make_manager: MakeManager, caplog: pytest.LogCaptureFixture) -> None:
    manager = make_manager(LOG_STATS=True, statistics_every=0.05, SERVER_INSTANCE_ID="server-7")
    await connector(manager)("alice", "room")
    with caplog.at_level(logging.INFO, "compat.manager"):
        await manager.start_tasks()
        await until_async(lambda: "statistics:" in caplog.text, "a line of statistics")
    assert "server=server-7 connections=1 users=1 groups=1 " in caplog.text


async def test_statistics_are_not_logged_unless_asked_for(make_manager: MakeManager) -> None:
    manager = make_manager()
    await manager.start_tasks()
    assert "compat-manager-statistics" not in {task.get_name() for task in asyncio.all_tasks()}


# Settings


def test_settings_have_the_documented_defaults() -> None:
    values = WSConfig().model_dump(exclude={"SERVER_INSTANCE_ID"})
    assert values == {
        "BACKEND_TYPE": "memory",
        "REDIS_URL": "redis://localhost:6379/0",
        "REDIS_CHANNEL_PREFIX": "ws:",
        "REDIS_REGISTRY_EXPIRY": 3600,
        "REDIS_GROUP_EXPIRY": 3600,
        "WS_HEARTBEAT_INTERVAL": 30,
        "WS_HEARTBEAT_TIMEOUT": 60,
        "WS_ENABLE_HEARTBEAT": True,
        "WS_MAX_MESSAGE_SIZE": 10485760,
        "WS_RECONNECT_MAX_ATTEMPTS": 5,
        "WS_RECONNECT_DELAY": 5,
        "MAX_CONNECTIONS_PER_CLIENT": 1000,
        "MAX_TOTAL_CONNECTIONS": 200000,
        "MAX_TOTAL_GROUPS": 5000000,
        "LOG_LEVEL": "INFO",
        "LOG_STATS": False,
    }
    assert WSConfig().SERVER_INSTANCE_ID.startswith("server-")
    assert WSConfig().SERVER_INSTANCE_ID != WSConfig().SERVER_INSTANCE_ID


def test_settings_come_from_the_call_the_environment_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        "BACKEND_TYPE=redis # the file\nWS_HEARTBEAT_INTERVAL=7\nLOG_LEVEL=debug\nOTHER_THING=1\n"
        "SERVER_INSTANCE_ID=\nREDIS_GROUP_EXPIRY=none\nLOG_STATS=true\nlog_stats=false\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("WS_HEARTBEAT_INTERVAL", "0.5")
    monkeypatch.setenv("REDIS_REGISTRY_EXPIRY", "")
    config = WSConfig(LOG_LEVEL="ERROR")
    assert (config.BACKEND_TYPE, config.WS_HEARTBEAT_INTERVAL, config.LOG_LEVEL) == ("redis", 0.5, "ERROR")
    assert config.REDIS_GROUP_EXPIRY is None is config.REDIS_REGISTRY_EXPIRY
    assert config.LOG_STATS is True and config.SERVER_INSTANCE_ID.startswith("server-")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKEND_TYPE", "kafka"),
        ("REDIS_URL", "localhost:6379"),
        ("WS_HEARTBEAT_INTERVAL", "soon"),
        ("WS_HEARTBEAT_TIMEOUT", "0"),
        ("WS_MAX_MESSAGE_SIZE", "-1"),
        ("MAX_TOTAL_CONNECTIONS", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_STATS", "perhaps"),
        ("REDIS_GROUP_EXPIRY", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name):
        WSConfig()


def test_pings_later_than_the_timeout_are_warned_of_once() -> None:
    """Was: every client that only answers pings was closed with 1011, and nothing said why."""
    with recorded() as records:
        for late in ({"WS_HEARTBEAT_TIMEOUT": 29}, {"WS_HEARTBEAT_INTERVAL": 61, "WS_HEARTBEAT_TIMEOUT": 61}):
            WSConfig(**late, WS_ENABLE_HEARTBEAT=False)
            for _ in range(2):
                WSConfig(**late)
        WSConfig(WS_HEARTBEAT_TIMEOUT=31)
    first, second = records.messages()
    assert "WS_HEARTBEAT_INTERVAL (30 s) is not less than WS_HEARTBEAT_TIMEOUT (29 s)" in first
    assert "(61 s)" in second and "WS_ENABLE_HEARTBEAT=false" in second


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="did you mean WS_HEARTBEAT_INTERVAL"):
        WSConfig(WS_HEARTBEAT_INTERVALL=3)


def test_the_log_level_is_set() -> None:
    ConnectionManager(ws_config=WSConfig(LOG_LEVEL="ERROR"))
    try:
        assert logging.getLogger("compat.manager").level == logging.ERROR
    finally:
        logging.getLogger("compat.manager").setLevel(logging.NOTSET)
