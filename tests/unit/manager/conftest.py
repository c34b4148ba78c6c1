"""Managers on both backends, each test's out of everybody else's way, and ended with the test."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from compat.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, unregister_channel_layer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.manager import Connection, ConnectionManager, WSConfig, set_manager
from compat.manager.backends import BaseBackend, MemoryBackend, RedisBackend
from tests.support.layers import unique_prefix
from tests.support.redis_cluster import shared_cluster
from tests.unit.manager.sockets import Peer

_numbers = itertools.count(1)
MakeManager = Callable[..., ConnectionManager]
Connect = Callable[..., Awaitable["tuple[Connection, Peer]"]]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """No manager, no default layer, no settings from this machine's environment or a .env file."""
    for name in WSConfig.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    before = set_manager(None)
    yield
    set_manager(before)
    unregister_channel_layer(DEFAULT_CHANNEL_LAYER)


@pytest.fixture
def prefix() -> str:
    """A REDIS_CHANNEL_PREFIX that no other test has; servers of one test share it."""
    return f"m{os.getpid()}x{next(_numbers)}:"


@pytest.fixture(params=["memory", "redis", pytest.param("cluster", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    """Each backend in turn."""
    chosen: str = request.param
    return chosen


@pytest_asyncio.fixture
async def make_manager(kind: str, prefix: str, request: pytest.FixtureRequest) -> AsyncIterator[MakeManager]:
    """`make_manager(MAX_TOTAL_CONNECTIONS=…, outbox_frames=…)`: a manager on the backend of this test."""
    made: list[ConnectionManager] = []

    def make(**options: Any) -> ConnectionManager:
        settings = {name: options.pop(name) for name in tuple(options) if name.isupper()}
        if kind != "memory":
            settings.setdefault("REDIS_URL", where(kind, request))
            settings["REDIS_CHANNEL_PREFIX"] = prefix
        config = WSConfig(BACKEND_TYPE="memory" if kind == "memory" else "redis", **settings)
        options.setdefault("statistics_every", 60.0)  # an option: never the same manager twice
        made.append(ConnectionManager(ws_config=config, **options))
        return made[-1]

    yield make
    for manager in made:
        await manager.stop_tasks(5)
    for manager in made:
        if isinstance(manager.backend, RedisBackend):
            await manager.backend.flush()
            await manager.backend.link.aclose()


@pytest.fixture
def manager(make_manager: MakeManager) -> ConnectionManager:
    """A manager with its default settings."""
    return make_manager()


@pytest.fixture
def connect(manager: ConnectionManager) -> Connect:
    """`await connect("alice", "room")`: a connection of hers that has joined room, and the client's end."""
    return connector(manager)


def connector(manager: ConnectionManager) -> Connect:
    """`connect` for any manager."""

    async def connect(user: str | None = None, *groups: str, **options: Any) -> tuple[Connection, Peer]:
        peer = Peer()
        connection = await manager.connect(peer.websocket, user, **options)
        for group in groups:
            await manager.join_group(connection, group)
        return connection, peer

    return connect


def layer_with(kind: str, redis_url: str, **options: Any) -> Any:
    """A layer of this kind, "memory", "pubsub" or "queue", with options that memory has too."""
    if kind == "memory":
        return InMemoryChannelLayer(**options)
    cls: Any = {"pubsub": RedisPubSubChannelLayer, "queue": RedisChannelLayer}[kind]
    return cls([redis_url], prefix=unique_prefix(), **options)


def where(kind: str, request: pytest.FixtureRequest) -> str:
    """The setting REDIS_URL: one server, or the nodes of a cluster."""
    if kind == "cluster":
        return ",".join(node.url for node in shared_cluster().nodes)
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest_asyncio.fixture
async def backend(kind: str, prefix: str, request: pytest.FixtureRequest) -> AsyncIterator[BaseBackend]:
    """A backend by itself."""
    if kind == "memory":
        yield MemoryBackend()
        return
    made = RedisBackend(where(kind, request), channel_prefix=prefix)
    yield made
    await made.flush()
    await made.cleanup()
