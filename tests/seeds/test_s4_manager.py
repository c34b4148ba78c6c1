"""S4-01 to S4-27, S4-33 to S4-44, S4-74 to S4-77: names, methods, consumers, middleware, errors."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from redis.asyncio import Redis
from starlette.websockets import WebSocketDisconnect

import compat.manager as top
from compat.cli.moves import moved_module
from compat.manager import BaseConsumer, Connection, ConnectionManager, Message, WSConfig, get_manager
from compat.manager.backends import BaseBackend, MemoryBackend, RedisBackend
from compat.manager.exceptions import BaseError, ConnectionError, RateLimitError, ValidationError
from compat.manager.middleware import LoggingMiddleware, Middleware, RateLimitMiddleware, ValidationMiddleware
from compat.manager.typed import ConnectionState
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.waiting import until_async
from tests.unit.manager import conftest as fixtures
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer

alone, prefix, kind = fixtures.alone, fixtures.prefix, fixtures.kind
make_manager, manager, connect = fixtures.make_manager, fixtures.manager, fixtures.connect

# Names and structure


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (  # S4-01
            "fastapi_channels",
            "ConnectionManager get_manager WSConfig Connection ConnectionRegistry BaseConsumer BaseError",
        ),
        ("fastapi_channels.config", "WSConfig"),  # S4-02
        ("fastapi_channels.exceptions", "BaseError"),  # S4-03
        (  # S4-04
            "fastapi_channels.middleware",
            "LoggingMiddleware RateLimitMiddleware ValidationMiddleware Middleware",
        ),
        ("fastapi_channels.consumer", "BaseConsumer"),  # S4-08
        ("fastapi_channels.consumer.base", "BaseConsumer"),
        ("fastapi_channels.connections", "Connection ConnectionManager ConnectionRegistry"),
        ("fastapi_channels.connections.manager", "ConnectionManager"),
        ("fastapi_channels.connections.state", "Connection"),
        ("fastapi_channels.backends", "BaseBackend MemoryBackend RedisBackend"),
        ("fastapi_channels.serializers", "BaseSerializer JSONSerializer ORJSONSerializer PickleSerializer"),
        ("fastapi_channels.typed", "Message MessagePriority ConnectionState"),
        (
            "fastapi_channels.utils",
            "BatchProcessor batch_items process_in_batches run_with_concurrency_limit with_retry",
        ),
        (
            "fastapi_channels.exceptions",
            "ConnectionError MessageError BackendError AuthenticationError AuthorizationError "
            "ValidationError RateLimitError SystemError TimeoutError ErrorCategory ErrorSeverity "
            "ErrorContext ErrorResponse "
            "create_error_context",
        ),
    ],
)
def test_S4_01_S4_02_S4_03_S4_04_S4_08_S4_44_names(module: str, names: str) -> None:
    ours = moved_module(module)
    assert ours is not None and ours.startswith("compat.manager")
    code = f"from {ours} import {', '.join(names.split())}"
    exec(code, {})


@pytest.mark.parametrize("kind", ["memory"])
def test_S4_05_the_configuration_picks_the_backend(redis_url: str, kind: str) -> None:
    assert isinstance(ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="memory")).backend, MemoryBackend)
    redis = ConnectionManager(ws_config=WSConfig(BACKEND_TYPE="redis", REDIS_URL=redis_url))
    assert isinstance(redis.backend, RedisBackend) and isinstance(redis.backend, BaseBackend)


def test_S4_06_one_manager_for_all() -> None:
    manager = ConnectionManager(ws_config=WSConfig())
    assert get_manager() is manager is top.get_manager() is ConnectionManager(ws_config=WSConfig())


def test_S4_07_before_there_is_one() -> None:
    with pytest.raises(RuntimeError, match="there is no ConnectionManager yet: make one"):
        get_manager()


async def test_S4_09_the_same_code_on_both_backends(make_manager: MakeManager, kind: str) -> None:
    """All tests of tests/unit/manager that take `kind` are the long form of this one."""
    manager = make_manager()
    await manager.start_tasks()
    connection, peer = await connector(manager)("alice", "room")
    await manager.send_to_group("room", {"n": 1})
    assert await manager.send_to_user("alice", {"n": 2}) == 1
    await manager.broadcast({"n": 3})
    assert sorted(frame["n"] for frame in await peer.hear_all(3)) == [1, 2, 3]
    await manager.disconnect(connection)
    assert await manager.count_connections() == 0


# The manager's methods


async def test_S4_10_connect(manager: ConnectionManager) -> None:
    peer = Peer()
    connection = await manager.connect(websocket=peer.websocket, user_id="alice")
    assert isinstance(connection, Connection) and peer.accepted is not None
    assert connection.user_id == "alice" and connection.state is ConnectionState.CONNECTED


async def test_S4_11_send_to_group(connect: Connect, manager: ConnectionManager) -> None:
    _, peer = await connect("alice", "room")
    _, other = await connect("bob")
    await manager.send_to_group("room", {"type": "background_update", "data": {"n": 1}})
    assert await peer.hear_json() == {"type": "background_update", "data": {"n": 1}}
    assert other.unheard == []


async def test_S4_14_join_and_leave_take_a_connection_or_its_id(
    connect: Connect, manager: ConnectionManager
) -> None:
    connection, _ = await connect("alice")
    await manager.join_group(connection, "one")
    await manager.join_group(connection.channel_name, "two")
    assert connection.groups == {"one", "two"}
    await manager.leave_group(connection.channel_name, "one")
    await manager.leave_group(connection, "two")
    assert connection.groups == set()


async def test_S4_15_start_and_stop(make_manager: MakeManager) -> None:
    manager = make_manager()
    await manager.start_tasks()
    connection, peer = await connector(manager)("alice")
    await asyncio.wait_for(manager.stop_tasks(), 15)
    assert peer.closed_with == 1001 and connection.state is ConnectionState.DISCONNECTED


async def test_S4_16_heartbeats(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.1, WS_HEARTBEAT_TIMEOUT=60)
    await manager.start_tasks()
    connection, peer = await connector(manager)("alice")

    async def endpoint() -> int:
        while True:
            try:
                await peer.websocket.receive()
            except WebSocketDisconnect as end:
                return end.code

    reading = asyncio.ensure_future(endpoint())
    assert (await peer.hear_json())["type"] == "ping"
    assert connection.state is ConnectionState.CONNECTED
    connection.heartbeat_timeout = 0.1  # it has been silent for longer by the next ping
    assert await asyncio.wait_for(reading, 15) == 1011 == peer.closed_with
    await until_async(lambda: connection.state is ConnectionState.DISCONNECTED, "it is cleaned up")
    assert await manager.count_connections() == 0


async def test_S4_17_statistics(make_manager: MakeManager, caplog: pytest.LogCaptureFixture) -> None:
    manager = make_manager(LOG_STATS=True, statistics_every=0.02)
    with caplog.at_level(logging.INFO, "compat.manager"):
        await manager.start_tasks()
        await until_async(lambda: "statistics: server=" in caplog.text, "a line")


@pytest.mark.parametrize("kind", ["redis"])
async def test_S4_12_S4_13_S4_18_S4_22_all_servers(make_manager: MakeManager) -> None:
    """In processes of their own: tests/faults/test_manager_servers.py."""
    one, two = make_manager(SERVER_INSTANCE_ID="one"), make_manager(SERVER_INSTANCE_ID="two")
    alice, first = await connector(one)("alice", "room")
    _, second = await connector(two)("alice")
    assert await one.send_to_user("alice", {"n": 1}) == 2
    await two.broadcast({"n": 2})
    for peer in (first, second):
        assert sorted(frame["n"] for frame in await peer.hear_all(2)) == [1, 2]
    assert len(await two.get_user_connections("alice")) == 2
    assert await two.list_groups() == {"room": 1}
    assert await two.get_connection_groups(alice.channel_name) == {"room"}


@pytest.mark.parametrize("kind", ["redis"])
async def test_S4_19_S4_20_limits_are_atomic_and_the_refusal_is_typed(make_manager: MakeManager) -> None:
    managers = [
        make_manager(SERVER_INSTANCE_ID=name, MAX_CONNECTIONS_PER_CLIENT=5) for name in ("one", "two")
    ]
    outcomes = await asyncio.gather(
        *(managers[index % 2].connect(Peer().websocket, "alice") for index in range(50)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ConnectionError)]
    assert len(refused) == 45
    assert {(error.error_code, error.ws_code) for error in refused} == {("CONNECTION_LIMIT_EXCEEDED", 1013)}


async def test_S4_21_to_one_connection(connect: Connect, manager: ConnectionManager) -> None:
    first, peer = await connect("alice")
    _, other = await connect("alice")
    await manager.send_personal(first.channel_name, {"n": 1})
    assert await peer.hear_json() == {"n": 1} and other.unheard == []


# Consumers


class ChatConsumer(BaseConsumer):
    def __init__(self, *args: Any, database: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.database = database
        self.calls: list[Any] = []

    async def connect(self) -> None:
        self.calls.append("connect")
        await self.join_group("room")

    async def receive(self, message: Message) -> None:
        self.calls.append(message)
        await self.send_to_group("room", {"n": message.data})

    async def on_disconnect(self, code: int) -> None:
        self.calls.append(code)
        await self.leave_group("room")


async def test_S4_24_S4_25_S4_26_a_consumer(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    stack = ValidationMiddleware(1000) >> LoggingMiddleware()
    consumer = ChatConsumer(connection=connection, manager=manager, middleware_stack=stack, database="db")
    assert consumer.database == "db"
    await consumer.connect()
    await consumer.handle_message(json_str='{"type": "x", "data": 5}')
    assert await peer.hear_json() == {"n": 5}
    await consumer.handle_message(binary=b"x")
    await consumer.disconnect(1001)
    kinds = [call.type if isinstance(call, Message) else call for call in consumer.calls]
    assert kinds == ["connect", "x", "binary", 1001]


async def test_S4_27_handle_error(connect: Connect, manager: ConnectionManager) -> None:
    connection, peer = await connect("alice")
    consumer = ChatConsumer(connection=connection, manager=manager)
    await consumer.handle_error(ValidationError("No", details={"field": "x"}))
    frame = await peer.hear_json()
    assert (frame["type"], frame["error_code"], frame["message"]) == ("error", "VALIDATION_FAILED", "No")
    assert (frame["category"], frame["severity"], frame["retryable"]) == ("validation", "low", False)
    assert frame["error_id"] and frame["timestamp"] > 0 and frame["details"] == {"field": "x"}


# Middleware

CONSUMER: Any = None


def at(name: str = "ws.1") -> Connection:
    return Connection(websocket=Peer().websocket, channel_name=name, user_id="alice")


class Note(Middleware):
    def __init__(self, name: str, seen: list[str], stops: bool = False) -> None:
        super().__init__()
        self.name, self.seen, self.stops = name, seen, stops

    async def process(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        self.seen.append(self.name)
        return None if self.stops else message


async def test_S4_33_S4_40_chains(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    a, b, c = (Note(name, seen) for name in "abc")
    message = Message(type="x", data=1)
    assert await (a >> b >> c)(message, at(), CONSUMER) is message and seen == ["a", "b", "c"]
    seen.clear()
    assert await (a >> Note("stop", seen, stops=True) >> c)(message, at(), CONSUMER) is None
    assert seen == ["a", "stop"]
    seen.clear()
    assert await a(message, at(), CONSUMER) is message and seen == ["a"]  # `a` was not changed


async def test_S4_34_validation() -> None:
    validate = ValidationMiddleware(100)
    for wrong in (Message(type="x", data="y" * 200), Message(type="")):
        with pytest.raises(ValidationError):
            await validate(wrong, at(), CONSUMER)


async def test_S4_35_logging(
    connect: Connect, manager: ConnectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    connection, _ = await connect("alice")
    consumer = ChatConsumer(connection, manager, LoggingMiddleware())
    with caplog.at_level(logging.INFO, "compat.manager.messages"):
        await consumer.handle_message(json_str='{"type": "note"}')
    lines = [record.getMessage().split(":")[0] for record in caplog.records]
    assert lines == ["request note", "response note"]


def limit(client: Any, prefix: str) -> RateLimitMiddleware:
    return RateLimitMiddleware(
        messages_per_window=3,
        window_seconds=60,
        redis=client,
        excluded_message_types={"ping"},
        key_prefix=prefix,
    )


async def refused(middleware: RateLimitMiddleware, name: str = "ws.1") -> bool:
    try:
        await middleware(Message(type="x"), at(name), CONSUMER)
    except RateLimitError as error:
        assert 30 < error.details["retry_after"] <= 60
        return True
    return False


@pytest.mark.parametrize("shared", [False, True])
async def test_S4_36_three_messages_a_window_excluded_types_apart(
    redis_url: str, prefix: str, shared: bool
) -> None:
    client = Redis.from_url(redis_url, encoding="utf-8", decode_responses=True) if shared else None
    middleware = limit(client, prefix)
    for _ in range(5):
        await middleware(Message(type="ping"), at(), CONSUMER)
    assert [await refused(middleware) for _ in range(5)] == [False] * 3 + [True] * 2
    await middleware(Message(type="ping"), at(), CONSUMER)
    assert not await refused(middleware, "ws.2")  # another connection counts for itself
    if client is not None:
        await client.aclose()


async def test_S4_39_servers_count_together_where_redis_is_given(redis_url: str, prefix: str) -> None:
    """The other server is another process."""
    code = (
        "import asyncio\n"
        "from redis.asyncio import Redis\n"
        "from tests.seeds.test_s4_manager import limit, refused\n"
        "async def main():\n"
        f"    client = Redis.from_url({redis_url!r}, encoding='utf-8', decode_responses=True)\n"
        f"    print([await refused(limit(client, {prefix!r})) for _ in range(2)])\n"
        "    await client.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code],
        cwd=REPO,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[False, False]\n", done.stderr
    client = Redis.from_url(redis_url, encoding="utf-8", decode_responses=True)
    here = limit(client, prefix)
    assert [await refused(here) for _ in range(2)] == [False, True]
    await client.delete(f"{prefix}ws.1")
    await client.aclose()


async def test_S4_39_each_process_counts_for_itself_otherwise(prefix: str) -> None:
    one, two = limit(None, prefix), limit(None, prefix)
    for middleware in (one, two):
        assert [await refused(middleware) for _ in range(4)] == [False] * 3 + [True]


# Errors


def test_S4_41_S4_42_S4_43_categories_context_and_response() -> None:
    from compat.manager.exceptions import ErrorCategory, ErrorSeverity, create_error_context

    assert {category.value for category in ErrorCategory} == {
        *("authentication", "authorization", "validation", "rate_limit", "connection", "backend"),
        *("message", "system", "unknown"),
    }
    assert [severity.value for severity in ErrorSeverity] == ["low", "medium", "high", "critical"]
    context = create_error_context("alice", "ws.1", "note", "test", room="lobby")
    assert set(context.to_dict()) == {
        *("error_id", "timestamp", "user_id", "connection_id", "message_type", "component", "metadata"),
    }
    error = RateLimitError(context=context, details={"retry_after": 3})
    response = error.to_response()
    assert response.retryable and response.context is context and error.ws_code == 1008
    assert response.to_dict()["details"] == {"retry_after": 3}


def test_S4_44_no_name_of_pythons_is_shadowed() -> None:
    namespace: dict[str, Any] = {}
    exec("from compat.manager.exceptions import *", namespace)
    assert not {"ConnectionError", "SystemError", "TimeoutError"} & set(namespace)
    assert isinstance(namespace["WSConnectionError"]("x"), BaseError)


# Other features


def test_S4_74_serializers() -> None:
    from compat.manager.serializers import JSONSerializer, ORJSONSerializer, PickleSerializer

    value = {"a": [1, None, "é"]}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pickles = PickleSerializer("a secret of enough bytes")
    assert len(warned) == 1 and "run code" in str(warned[0].message)
    for serializer in (JSONSerializer(), ORJSONSerializer(), pickles):
        assert serializer.loads(serializer.dumps(value)) == value


def test_S4_75_the_history(tmp_path: Path) -> None:
    code = (
        "from example.database import ChatDatabase\n"
        "db = ChatDatabase()\n"
        "for n in range(5): db.save_message('room', 'alice', 'Alice', f'text {n}', float(n))\n"
        "print([m['text'] for m in db.get_recent_messages('room', limit=2)])\n"
        "db.save_user('alice', 'Alice'); print(db.get_user('alice')['username'], db.get_user('bob'))\n"
        "made = [db.create_room('room', user) for user in ('alice', 'bob')]\n"
        "print(*made, db.get_room('room')['created_by'])\n"
        "more = [db.create_room(f'room {n}', 'alice') for n in range(200)]\n"
        "print([len(db.list_rooms(limit)) for limit in (1, 2, 3)], len(db.list_rooms()))\n"
        "db.close()\n"
        "db = ChatDatabase('chat.sqlite3'); db.save_message('r', 'a', 'A', 'kept'); db.close()\n"
        "print(ChatDatabase('chat.sqlite3').get_recent_messages('r')[0]['text'])\n"
    )
    example = REPO / "examples" / "fastapi_port" / "manager_chat"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=child_environment({"PYTHONPATH": str(example)}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.splitlines() == [
        *("['text 3', 'text 4']", "Alice None", "True False alice"),
        *("[1, 2, 3] 200", "kept"),
    ]


async def test_S4_76_batches_with_a_bound() -> None:
    from compat.manager.utils import run_with_concurrency_limit

    running, most = 0, 0

    async def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await run_with_concurrency_limit((job() for _ in range(50)), 5)
    assert most == 5


def test_S4_77_it_installs_at_the_versions_of_the_seed() -> None:
    wanted = {"fastapi": "0.124.0", "redis": "7.1.0", "pydantic-settings": "2.12.0"}
    tomllib = pytest.importorskip("tomllib")  # Python 3.11, as the seed wants
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = {
        requirement.name: requirement.specifier
        for requirement in map(
            Requirement, [*project["dependencies"], *extras["fastapi"], *extras["manager"]]
        )
    }
    for name, version in wanted.items():
        assert required[name].contains(version), name
        assert Version(importlib.metadata.version(name)) >= Version(version)  # and these tests ran with that
    assert Requirement(f"python{project['requires-python']}").specifier.contains("3.11")
