"""Connections to each host of the option ``hosts``; ``hosts_option`` says what that may be."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from typing import Any

import redis
from redis.asyncio import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.exceptions import RedisError

from compat.redis.sentinels import sentinel_pool
from compat.types import is_number

DriverInfo: Any
try:
    from redis.driver_info import DriverInfo
except ModuleNotFoundError:  # redis-py 5 and 6 look their version up once
    DriverInfo = None

__all__ = ["Host", "abandon", "close_pool", "create_pool", "plain_pool"]

REPLY_TIMEOUT_S = 5.0
"""Seconds that a reply may take before the connection is closed; ``socket_timeout`` overrides it."""
CONNECT_TIMEOUT_S = 5.0
"""Seconds that connecting may take, including the login; ``socket_connect_timeout`` overrides it."""


def create_pool(host: Mapping[str, Any]) -> ConnectionPool:
    """Return a redis-py pool for one entry of ``decode_hosts``, without a time limit on its sockets.

    By default redis-py 8 limits every read to 5 s, which would end blocking reads.
    ``compat.redis.connection`` applies the limits instead.
    """
    pool = plain_pool({"socket_connect_timeout": CONNECT_TIMEOUT_S, **host})
    kwargs = pool.connection_kwargs
    kwargs["socket_timeout"] = None
    kwargs["protocol"] = 2  # the code expects RESP2 replies, whatever redis-py's default is
    for name in [name for name in kwargs if "maint_notifications" in name]:
        del kwargs[name]  # redis-py 8 adds them, and they need RESP3
    kwargs["decode_responses"] = False
    return pool


def plain_pool(host: Mapping[str, Any]) -> ConnectionPool:
    """Return a redis-py pool with the options of one entry of ``decode_hosts``, for other commands.

    For each connection, redis-py 7 and 8 read their own version from the disk, on the event loop, unless they
    are told.
    """
    options = dict(host)
    pool: ConnectionPool
    if "address" in options:
        pool = ConnectionPool.from_url(options.pop("address"), **options)
    elif "master_name" in options:
        pool = sentinel_pool(options)
    else:
        if "path" in options:
            options.setdefault("connection_class", UnixDomainSocketConnection)
        elif options.pop("ssl", False):
            options.setdefault("connection_class", SSLConnection)
        pool = ConnectionPool(**options)
    kwargs = pool.connection_kwargs
    if DriverInfo is not None and not kwargs.keys() & {"driver_info", "lib_name", "lib_version"}:
        kwargs["driver_info"] = DriverInfo(lib_version=redis.__version__)
    if issubclass(pool.connection_class, UnixDomainSocketConnection):
        for name in ("host", "port"):
            kwargs.pop(name, None)
    return pool


async def close_pool(pool: ConnectionPool) -> None:
    """Close a pool's connections, and those to its sentinels."""
    with contextlib.suppress(Exception):  # closing a broken connection raises
        await pool.disconnect()
    manager = getattr(pool, "sentinel_manager", None)
    for client in manager.sentinels if manager is not None else ():
        with contextlib.suppress(Exception):
            await client.connection_pool.disconnect()


async def abandon(connection: AbstractConnection) -> None:
    """Close a connection in any state, and ignore errors; free what it has read."""
    with contextlib.suppress(Exception):
        await connection.disconnect(nowait=True)
    # Both redis-py's parser and the error of a stream refer to themselves, so what has been read would stay
    # until the garbage collector comes.
    parser = getattr(connection, "_parser", None)
    stream: asyncio.StreamReader | None = getattr(parser, "_stream", None)
    error = None if stream is None else stream.exception()
    if error is not None:
        error.__traceback__ = None
    for name in ("_reader", "_stream", "pubsub_push_handler_func"):
        if hasattr(parser, name):
            setattr(parser, name, None)


class Host:
    """One entry of ``hosts``: its name in messages, its time limits, and its connections."""

    __slots__ = ("connect_timeout_s", "index", "options", "reply_timeout_s", "where")
    is_shard = False
    """True for a shard of a cluster, whose master may be another node at any time."""

    def __init__(self, options: Mapping[str, Any], index: int) -> None:
        self.options = dict(options)
        self.index = index
        parsed = parse_url(options["address"]) if "address" in options else {}
        given = {**parsed, **options}
        self.reply_timeout_s = _limit(given, "socket_timeout", REPLY_TIMEOUT_S, index)
        self.connect_timeout_s = _limit(given, "socket_connect_timeout", CONNECT_TIMEOUT_S, index)
        try:
            pool = self.pool()
            self.connection(pool)  # the constructor checks the options, and does not connect
        except (TypeError, ValueError, RedisError) as error:
            raise ValueError(f"hosts[{index}]: redis-py cannot use these options: {error}") from error
        self.where = _where(options, pool.connection_kwargs)

    @property
    def server(self) -> str:
        """The name in messages of what the entry names: a cluster for each of its shards, else ``where``."""
        return self.where

    def pool(self) -> ConnectionPool:
        """Return a new pool for one event loop; close it with ``close_pool``."""
        return create_pool(self.options)

    def pool_at(self, address: tuple[str, int]) -> ConnectionPool:
        """Return a new pool for one node of a cluster; close it with ``close_pool``."""
        return create_pool({**self.options, "host": address[0], "port": address[1]})

    def redirect_of(self, error: Exception) -> str | None:
        """Return why the command of an error reply must be repeated (``reasons.redirect_of``), else None."""
        return None

    @staticmethod
    def connection(pool: ConnectionPool) -> AbstractConnection:
        """Return an unopened connection made by ``pool``, which the pool does not count."""
        connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    @staticmethod
    async def connect(connection: AbstractConnection) -> None:
        """Open ``connection``, and log in."""
        await connection.connect()  # type: ignore[no-untyped-call]


def _limit(options: Mapping[str, Any], name: str, default: float, index: int) -> float:
    """Return a time limit in seconds; 0 and None, which mean no limit in redis-py, give the default."""
    value = options.get(name) or default
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"hosts[{index}]: {name} must be a number of seconds greater than 0, not {value!r}")
    return float(value)


def _where(options: Mapping[str, Any], kwargs: Mapping[str, Any]) -> str:
    """Return the host's name for messages, without its password."""
    if "master_name" in options:
        sentinels = ", ".join(f"{host}:{port}" for host, port in options["sentinels"])
        return f"the master {options['master_name']!r} of the sentinels at {sentinels}"
    if "path" in kwargs:
        return str(kwargs["path"])
    return f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
