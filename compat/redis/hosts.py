"""The option ``hosts``: its allowed forms, and connections to each host.

The forms are those of channels_redis 4.3: URLs (redis, rediss, unix), ``(host, port)`` pairs, and dicts. A
dict has an ``address`` with options, or ``sentinels`` with a ``master_name``, or the arguments of redis-py's
connection classes. One form is new: a dict with ``cluster``, the nodes of a Redis Cluster (``cluster``). All
options are checked when the layer is made, without connecting.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.asyncio import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.exceptions import RedisError

from compat.redis.masking import masked, safe_repr
from compat.redis.sentinels import sentinel_pool
from compat.types import is_number

DriverInfo: Any
try:
    from redis.driver_info import DriverInfo
except ModuleNotFoundError:  # redis-py 5 and 6 look their version up once
    DriverInfo = None

__all__ = ["Host", "close_pool", "create_pool", "decode_hosts", "host_of"]

DEFAULT_ADDRESS = "redis://localhost:6379"
REPLY_TIMEOUT_S = 5.0
"""Seconds that a reply may take before the connection is closed; ``socket_timeout`` overrides it."""
CONNECT_TIMEOUT_S = 5.0
"""Seconds that connecting may take, including the login; ``socket_connect_timeout`` overrides it."""

CLUSTER_KEYS = ("cluster", "shards", "sharded")
MOST_SHARDS = 512
SENTINEL_KEYS = ("sentinels", "master_name", "sentinel_kwargs", "is_master", "check_connection", "ssl")
EXAMPLE = 'hosts=["redis://127.0.0.1:6379"]'
PUZZLING = "its port is no number; in a password, write / : # ? @ [ ] as %2F %3A %23 %3F %40 %5B %5D"
MEANT = {"auth": "password", "pw": "password", "pwd": "password", "user": "username", "login": "username"}
"""Names that others have for an option, and that look like another one's."""


def decode_hosts(hosts: Any) -> list[dict[str, Any]]:
    """Return the option as a list of dicts, like ``channels_redis.utils.decode_hosts``.

    None or an empty list means Redis on this machine. Raises ValueError, which says what to write instead.
    """
    if not hosts:
        return [{"address": DEFAULT_ADDRESS}]
    if isinstance(hosts, (str, bytes)):
        raise ValueError(
            "You must pass a list of Redis hosts, even if there is only one. "
            f"Found hosts={masked(hosts)!r}; write hosts=[{masked(hosts)!r}]"
        )
    if isinstance(hosts, Mapping):
        raise ValueError(f"hosts must be a list; write hosts=[{{…}}] around the dict, or {EXAMPLE}")
    hosts = _listed(hosts)
    if not hosts:
        return decode_hosts(None)
    if len(hosts) == 2 and isinstance(hosts[0], str) and isinstance(hosts[1], int):
        raise ValueError(
            f"hosts={safe_repr(tuple(hosts))} is one (host, port) pair, and a list of them is expected; "
            f"write hosts=[({safe_repr(hosts[0])}, {hosts[1]!r})]"
        )
    decoded = [_decode(entry, f"hosts[{index}]") for index, entry in enumerate(hosts)]
    if len(decoded) > 1 and any("cluster" in entry for entry in decoded):
        raise ValueError(
            "a cluster must be the only entry of hosts: its nodes divide the keys. Write all of them "
            'into one entry: hosts=[{"cluster": ["redis://one:6379", "redis://two:6379"]}]'
        )
    return decoded


def _listed(hosts: Any) -> list[Any]:
    # As for channels_redis, it may also be a generator or a set.
    if not isinstance(hosts, Iterable):
        raise ValueError(f"hosts must be a list, not {hosts!r}; {EXAMPLE}")
    return list(hosts)


def host_of(given: Any) -> Any:
    """Return the entry of ``hosts`` for a setting: a cluster for URLs with commas between, else ``given``."""
    nodes = re.split(r",(?=rediss?://)", given) if isinstance(given, str) else []
    return {"cluster": nodes} if len(nodes) > 1 else given


def _decode(entry: Any, where: str) -> dict[str, Any]:
    if isinstance(entry, Mapping):
        decoded = dict(entry)
        _check_dict(decoded, where)
    elif isinstance(entry, (tuple, list)):
        if len(entry) != 2 or not isinstance(entry[0], str) or isinstance(entry[1], bool):
            raise ValueError(
                f'{where}={safe_repr(entry)} is not a (host, port) pair such as ("127.0.0.1", 6379); a '
                "password belongs into a URL or a dict"
            )
        decoded = {"host": entry[0], "port": _port(entry[1], where)}
    elif isinstance(entry, str):
        _check_url(entry, where)
        decoded = {"address": entry}
    else:
        raise ValueError(
            f"{where}={safe_repr(entry)} is neither a URL nor a (host, port) pair nor a dict; "
            f"an example: {EXAMPLE}"
        )
    return decoded


def _port(value: Any, where: str) -> int:
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise ValueError(f"{where}: the port must be a number from 1 to 65535, not {value!r}")
    return port


def _check_url(url: str, where: str) -> None:
    try:
        options = parse_url(url)
        parts = urlsplit(url)
        if parts.scheme == "unix":
            if not options.get("path"):
                raise ValueError("it names no socket, as in unix:///run/redis.sock")
        elif parts.port == 0:
            raise ValueError("Port out of range 0-65535")
        elif not re.fullmatch(r"/?\d*/?", parts.path):  # redis-py would silently use the database 0
            no_number = "its path" if "@" in parts.path else repr(parts.path)
            raise ValueError(f"{no_number} is no number of a database")
    except ValueError as error:
        hint = f"write {_with_scheme(url)!r}" if "://" not in url else f"an example: {EXAMPLE}"
        reason = str(error)
        if "@" in url and "'" in reason and not re.match("Invalid value for|.*number of a database", reason):
            reason = PUZZLING  # it may quote a part of the password
        raise ValueError(f"{where}={masked(url)!r} is not a Redis URL ({reason}); {hint}") from None
    _check_names(options, {}, f"{where}={masked(url)!r}")


def _with_scheme(url: str) -> str:
    """Return what was probably meant by a URL without ``://``, without its password."""
    scheme, slash, rest = url.partition(":/")
    if slash and scheme.lower() in ("redis", "rediss"):
        return f"{scheme}://{masked(rest)}"
    return f"redis://{masked(url)}"


def _check_dict(entry: dict[str, Any], where: str) -> None:
    if "connection_class" in entry and not isinstance(entry["connection_class"], type):
        if (given := entry.pop("connection_class")) is not None:
            raise ValueError(f"{where}['connection_class'] must be a class of redis-py, not {given!r}")
    if "address" in entry:
        if not isinstance(entry["address"], str):
            raise ValueError(f"{where}['address'] must be a URL, not {safe_repr(entry['address'])}")
        _check_url(entry["address"], f"{where}['address']")
    elif "cluster" in entry:
        _check_cluster(entry, where)
    elif "master_name" in entry or "sentinels" in entry:
        _check_sentinels(entry, where)
    elif not entry.keys() & set(_known_options(entry)):
        raise ValueError(
            f"{where} needs one of: 'address' (a URL), 'host' and 'port', 'path' (a unix socket), "
            f"'cluster' (a list of URLs), or 'sentinels' and 'master_name'; "
            f"found {', '.join(map(repr, entry)) or 'nothing'}"
        )
    if "port" in entry:
        entry["port"] = _port(entry["port"], where)
    _check_names(entry, entry, where)


def _check_names(options: Mapping[str, Any], entry: Mapping[str, Any], where: str) -> None:
    known = _known_options(entry)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(MEANT.get(str(name), str(name)), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has an unknown option {name!r}{hint}")


def _check_cluster(entry: dict[str, Any], where: str) -> None:
    nodes, shards = entry["cluster"], entry.get("shards", 1)
    if isinstance(nodes, (str, bytes, Mapping)) or not isinstance(nodes, Sequence) or not nodes:
        raise ValueError(
            f"{where}['cluster'] must be a list of nodes, such as ['redis://127.0.0.1:7000']; "
            f"found {safe_repr(nodes)}"
        )
    for node in nodes:
        part = f"{where}['cluster']"
        decoded = _decode(node, part)
        if decoded.keys() - {"address", "host", "port"}:
            raise ValueError(f"{part}: a node is a URL or a (host, port) pair, not {safe_repr(node)}")
        url = dict(parse_url(decoded["address"])) if "address" in decoded else {}
        if "path" in url or url.get("db"):
            what = "a unix socket" if "path" in url else f"database {url['db']}"
            raise ValueError(f"{part}={masked(node)!r} names {what}; a cluster has hosts, and database 0")
    if not isinstance(shards, int) or isinstance(shards, bool) or not 1 <= shards <= MOST_SHARDS:
        raise ValueError(f"{where}['shards'] must be a number from 1 to {MOST_SHARDS}, not {shards!r}")
    if entry.get("sharded") not in (None, True, False):
        raise ValueError(f"{where}['sharded'] must be True, False, or None, not {entry['sharded']!r}")


def _check_sentinels(entry: dict[str, Any], where: str) -> None:
    sentinels: Any = entry.get("sentinels")
    pairs = isinstance(sentinels, Sequence) and not isinstance(sentinels, str) and len(sentinels) > 0
    if not pairs or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in sentinels):
        raise ValueError(
            f"{where}['sentinels'] must be a list of (host, port) pairs, such as "
            f'[("127.0.0.1", 26379)]; found {safe_repr(sentinels)}'
        )
    for _, port in sentinels:
        _port(port, f"{where}['sentinels']")
    if not entry.get("master_name"):
        raise ValueError(
            f"{where} has 'sentinels', and needs 'master_name': the name that they watch, often 'mymaster'"
        )


def _known_options(entry: Mapping[str, Any]) -> list[str]:
    """Return every argument that redis-py's connections take, and the keys that this module reads."""
    classes: list[Any] = [SSLConnection, UnixDomainSocketConnection, ConnectionPool]
    if "connection_class" in entry:
        classes.append(entry["connection_class"])
    names = {"address", "connection_class", *CLUSTER_KEYS, *SENTINEL_KEYS}
    for cls in classes:
        for base in cls.__mro__[:-1]:
            names.update(inspect.signature(base.__init__).parameters)
    return sorted(names - {"self", "args", "kwargs", "connection_kwargs"})


def create_pool(host: Mapping[str, Any]) -> ConnectionPool:
    """Return a redis-py pool for one entry of ``decode_hosts``, without a time limit on its sockets.

    By default redis-py 8 limits every read to 5 s, which would end blocking reads.
    ``compat.redis.connection`` applies the limits instead. And for each connection, redis-py 7 and 8 read
    their own version from the disk, on the event loop, unless they are told.
    """
    options = dict(host)
    options.setdefault("socket_connect_timeout", CONNECT_TIMEOUT_S)
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
    kwargs["socket_timeout"] = None
    kwargs["protocol"] = 2  # the code expects RESP2 replies, whatever redis-py's default is
    for name in [name for name in kwargs if "maint_notifications" in name]:
        del kwargs[name]  # redis-py 8 adds them, and they need RESP3
    kwargs["decode_responses"] = False
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
