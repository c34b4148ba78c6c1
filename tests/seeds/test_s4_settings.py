"""S4-45 to S4-60: every setting, its default, and an effect that can be seen."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from compat.manager import BaseConsumer, Message, WSConfig
from compat.manager.backends import RedisBackend
from compat.manager.exceptions import BackendError, ConnectionError, SystemError
from tests.support.logs import recorded
from tests.support.processes import free_port
from tests.support.waiting import until_async
from tests.unit.manager import conftest as fixtures
from tests.unit.manager.conftest import MakeManager, connector

alone, make_manager, prefix = fixtures.alone, fixtures.make_manager, fixtures.prefix

DEFAULTS = {
    "BACKEND_TYPE": "memory",
    "REDIS_URL": "redis://localhost:6379/0",
    "REDIS_CHANNEL_PREFIX": "ws:",
    "WS_HEARTBEAT_INTERVAL": 30,
    "WS_HEARTBEAT_TIMEOUT": 60,
    "WS_MAX_MESSAGE_SIZE": 10485760,
    "WS_RECONNECT_MAX_ATTEMPTS": 5,
    "WS_RECONNECT_DELAY": 5,
    "MAX_CONNECTIONS_PER_CLIENT": 1000,
    "MAX_TOTAL_CONNECTIONS": 200000,
    "MAX_TOTAL_GROUPS": 5000000,
    "LOG_LEVEL": "INFO",
    "LOG_STATS": False,
    "WS_ENABLE_HEARTBEAT": True,
    "REDIS_REGISTRY_EXPIRY": 3600,
    "REDIS_GROUP_EXPIRY": 3600,
}
SEED = """
BACKEND_TYPE=redis # "memory" or "redis"
REDIS_URL=redis://localhost:6379/0
REDIS_CHANNEL_PREFIX=ws:
WS_HEARTBEAT_INTERVAL=30 # seconds
WS_HEARTBEAT_TIMEOUT=60 # seconds
WS_MAX_MESSAGE_SIZE=10485760 # bytes (10MB)
WS_RECONNECT_MAX_ATTEMPTS=5
WS_RECONNECT_DELAY=5 # seconds
MAX_CONNECTIONS_PER_CLIENT=1000
MAX_TOTAL_CONNECTIONS=200000
MAX_TOTAL_GROUPS=5000000
SERVER_INSTANCE_ID=server-abc123 # Auto-generated if not set
LOG_LEVEL=INFO
LOG_STATS=true # Enable/disable statistics logging
WS_ENABLE_HEARTBEAT=true # Enable/disable heartbeat monitoring
"""


@pytest.fixture(params=["memory"])
def kind(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


redis_only = pytest.mark.parametrize("kind", ["redis"], indirect=True)


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_S4_45_to_S4_60_defaults(name: str) -> None:
    assert getattr(WSConfig(), name) == DEFAULTS[name]


def test_S4_45_to_S4_59_the_seeds_env_file(tmp_path: Path) -> None:
    Path(".env").write_text(SEED, encoding="utf-8")
    config = WSConfig()
    assert config.BACKEND_TYPE == "redis" and config.LOG_STATS is True and config.WS_ENABLE_HEARTBEAT is True
    assert config.SERVER_INSTANCE_ID == "server-abc123"
    others = {name: value for name, value in DEFAULTS.items() if name not in ("BACKEND_TYPE", "LOG_STATS")}
    assert {name: getattr(config, name) for name in others} == others


def test_S4_60_no_setting_without_a_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for name in WSConfig.model_fields:
        assert f"_{name}_" in text, f"{name} has no test of its effect here"


async def test_S4_45_BACKEND_TYPE_decides(make_manager: MakeManager) -> None:
    assert make_manager().backend.kind == "memory"  # and BACKEND_TYPE="redis" in the next tests


@redis_only
async def test_S4_46_REDIS_URL_is_where_it_connects(make_manager: MakeManager, redis_url: str) -> None:
    backend = make_manager(REDIS_URL=redis_url).backend
    assert isinstance(backend, RedisBackend) and backend.link.host.where == redis_url.partition("//")[2]
    with pytest.raises(BackendError, match=r"REDIS_URL"):
        nowhere = RedisBackend(f"redis://127.0.0.1:{free_port()}")
        await nowhere.registry_count_connections()


@redis_only
async def test_S4_47_REDIS_CHANNEL_PREFIX_keeps_fleets_apart(
    make_manager: MakeManager, prefix: str, redis_url: str
) -> None:
    mine = make_manager()
    await connector(mine)("alice", "room")
    assert await mine.count_connections() == 1
    assert mine.backend.registry_get_prefix().startswith(prefix)
    other = RedisBackend(redis_url, channel_prefix=f"other{prefix}")  # REDIS_CHANNEL_PREFIX="other…"
    assert await other.registry_count_connections() == 0
    await other.cleanup()


async def test_S4_48_WS_HEARTBEAT_INTERVAL_is_between_two_pings(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_INTERVAL=0.1)
    _, peer = await connector(manager)("alice")
    await manager.start_tasks()
    first, second = [(await peer.hear_json())["timestamp"] for _ in range(2)]
    assert second - first >= 0.09


async def test_S4_49_WS_HEARTBEAT_TIMEOUT_ends_silence(make_manager: MakeManager) -> None:
    manager = make_manager(WS_HEARTBEAT_TIMEOUT=0.3)
    connection, peer = await connector(manager)("alice")
    reading = asyncio.ensure_future(peer.websocket.receive())
    await manager.start_tasks()
    await until_async(lambda: peer.closed_with == 1011, "closed")
    assert connection.heartbeat_timeout == 0.3
    reading.cancel()
    await asyncio.wait((reading,))


async def test_S4_50_WS_MAX_MESSAGE_SIZE_refuses(make_manager: MakeManager) -> None:
    class Consumer(BaseConsumer):
        async def connect(self) -> None: ...

        async def receive(self, message: Message) -> None:
            raise AssertionError("too large to come here")

    manager = make_manager(WS_MAX_MESSAGE_SIZE=50)
    connection, peer = await connector(manager)("alice")
    await Consumer(connection, manager).handle_message(binary=b"x" * 51)
    assert (await peer.hear_json())["details"] == {"reason": "too_large", "size": 51, "max_size": 50}


@redis_only
async def test_S4_51_S4_52_WS_RECONNECT_MAX_ATTEMPTS_and_WS_RECONNECT_DELAY_bound_the_start(
    make_manager: MakeManager,
) -> None:
    manager = make_manager(
        REDIS_URL=f"redis://127.0.0.1:{free_port()}", WS_RECONNECT_MAX_ATTEMPTS=3, WS_RECONNECT_DELAY=0.2
    )
    began = time.monotonic()
    with recorded() as records, pytest.raises(BackendError, match=r"tried 3 times, 0\.2 s apart"):
        await manager.start_tasks()
    assert time.monotonic() - began >= 0.4  # two pauses
    attempts = [line for line in records.messages() if "attempt " in line]
    assert len(attempts) == 2 and "attempt 1 of 3" in attempts[0]
    assert manager.backend.lease.longest_pause_s == 0.2  # type: ignore[attr-defined]
    manager.backend.flush = _nothing  # type: ignore[method-assign]  # there is no Redis to clean up


async def _nothing() -> None:
    pass


async def test_S4_53_MAX_CONNECTIONS_PER_CLIENT_bounds_a_user(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_CONNECTIONS_PER_CLIENT=1)
    connect = connector(manager)
    await connect("alice")
    await connect("bob")
    with pytest.raises(ConnectionError):
        await connect("alice")


async def test_S4_54_MAX_TOTAL_CONNECTIONS_bounds_all(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_TOTAL_CONNECTIONS=1)
    await connector(manager)("alice")
    with pytest.raises(ConnectionError):
        await connector(manager)("bob")


async def test_S4_55_MAX_TOTAL_GROUPS_bounds_groups(make_manager: MakeManager) -> None:
    manager = make_manager(MAX_TOTAL_GROUPS=1)
    connection, _ = await connector(manager)("alice", "one")
    with pytest.raises(SystemError):
        await manager.join_group(connection, "two")


async def test_S4_56_SERVER_INSTANCE_ID_names_the_server(make_manager: MakeManager) -> None:
    connection, _ = await connector(make_manager(SERVER_INSTANCE_ID="server-abc123"))("alice")
    assert connection.metadata["server_instance_id"] == "server-abc123"
    made_up = make_manager(SERVER_INSTANCE_ID=None).server_instance_id
    assert made_up.startswith("server-") and len(made_up) > len("server-xxxx")


async def test_S4_57_LOG_LEVEL_is_the_managers_logs(make_manager: MakeManager) -> None:
    make_manager(LOG_LEVEL="warning")
    log = logging.getLogger("compat.manager")
    assert log.level == logging.WARNING and WSConfig(LOG_LEVEL="debug").LOG_LEVEL.upper() == "DEBUG"
    log.setLevel(logging.NOTSET)


async def test_S4_58_LOG_STATS_logs_statistics(make_manager: MakeManager) -> None:
    def running() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks()}

    quiet = make_manager(LOG_STATS=False)
    await quiet.start_tasks()
    assert "compat-manager-statistics" not in running()
    await quiet.stop_tasks()
    await make_manager(LOG_STATS=True).start_tasks()
    assert "compat-manager-statistics" in running()


async def test_S4_59_WS_ENABLE_HEARTBEAT_switches_pings(make_manager: MakeManager) -> None:
    manager = make_manager(WS_ENABLE_HEARTBEAT=False, WS_HEARTBEAT_INTERVAL=0.01, WS_HEARTBEAT_TIMEOUT=0.05)
    _, peer = await connector(manager)("alice")
    reading: Any = asyncio.ensure_future(peer.websocket.receive())
    await manager.start_tasks()
    await asyncio.wait((reading,), timeout=0.3)
    assert peer.unheard == [] and peer.closed_with is None and not reading.done()
    reading.cancel()
    await asyncio.wait((reading,))


@redis_only
async def test_S4_23_REDIS_REGISTRY_EXPIRY_and_REDIS_GROUP_EXPIRY_end_keys(make_manager: MakeManager) -> None:
    manager = make_manager(REDIS_REGISTRY_EXPIRY=200, REDIS_GROUP_EXPIRY=100)
    await connector(manager)("alice", "room")
    backend = manager.backend
    assert isinstance(backend, RedisBackend)
    root = backend.registry_get_prefix()
    assert 190 < await backend.link.call(b"TTL", f"{root}connections") <= 200
    assert 90 < await backend.link.call(b"TTL", f"{root}group:room") <= 100
