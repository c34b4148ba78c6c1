"""The option ``hosts``: its allowed forms, which are all checked without connecting.

They are those of channels_redis 4.3: URLs (redis, rediss, unix), ``(host, port)`` pairs, and dicts. A dict
has an ``address`` with options, or ``sentinels`` with a ``master_name``, or the arguments of redis-py's
connection classes. One form is new: a dict with ``cluster``, the nodes of a Redis Cluster (``cluster``).
"""

from __future__ import annotations

import difflib
import inspect
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url

from compat.redis.masking import masked, safe_repr

__all__ = ["decode_hosts", "host_of"]

log = logging.getLogger("compat.layers")

DEFAULT_ADDRESS = "redis://localhost:6379"
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
        if len(entry) < 2 or not isinstance(entry[0], str) or isinstance(entry[1], bool):
            raise ValueError(
                f'{where}={safe_repr(entry)} is not a (host, port) pair such as ("127.0.0.1", 6379)'
            )
        if len(entry) > 2:
            log.warning(
                "%s=%s: of a tuple only the host and the port count, as for channels_redis; a database or a "
                "password belongs into a URL, such as 'redis://:password@host:6379/1', or a dict",
                where,
                safe_repr(entry),
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
