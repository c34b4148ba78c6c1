"""What may be written in `hosts`, and what is said about everything else, before anything is connected."""

from __future__ import annotations

import sys
from inspect import signature
from typing import Any

import pytest
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection

from compat.exceptions import InvalidChannelLayerError
from compat.layers import get_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.redis.hosts import Host
from compat.redis.hosts_option import decode_hosts
from compat.settings import override


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_hosts_is_this_machine(nothing: Any) -> None:
    assert decode_hosts(nothing) == [{"address": "redis://localhost:6379"}]


@pytest.mark.parametrize(
    ("entry", "decoded", "where", "connection"),
    [
        ("redis://h:1/2", {"address": "redis://h:1/2"}, "h:1", Connection),
        ("rediss://u:pw@h", {"address": "rediss://u:pw@h"}, "h:6379", SSLConnection),
        ("unix:///tmp/s?db=1", {"address": "unix:///tmp/s?db=1"}, "/tmp/s", UnixDomainSocketConnection),
        (("h", 1), {"host": "h", "port": 1}, "h:1", Connection),
        (["h", "1"], {"host": "h", "port": 1}, "h:1", Connection),
        ({"host": "h", "port": 1, "db": 3}, {"host": "h", "port": 1, "db": 3}, "h:1", Connection),
        ({"host": "h", "ssl": True}, {"host": "h", "ssl": True}, "h:6379", SSLConnection),
        ({"db": 3}, {"db": 3}, "localhost:6379", Connection),
        ({"port": 6380}, {"port": 6380}, "localhost:6380", Connection),
        ({"password": "x", "connection_class": None}, {"password": "x"}, "localhost:6379", Connection),
        (
            {"sentinels": [("a", 1)], "master_name": "m", "connection_class": None},
            {"sentinels": [("a", 1)], "master_name": "m"},
            "the master 'm' of the sentinels at a:1",
            SentinelManagedConnection,
        ),
        ({"path": "/tmp/s"}, {"path": "/tmp/s"}, "/tmp/s", UnixDomainSocketConnection),
        (
            {"sentinels": [("a", 1), ("b", 2)], "master_name": "m", "db": 1},
            {"sentinels": [("a", 1), ("b", 2)], "master_name": "m", "db": 1},
            "the master 'm' of the sentinels at a:1, b:2",
            SentinelManagedConnection,
        ),
    ],
)
def test_every_form(entry: Any, decoded: Any, where: str, connection: type) -> None:
    assert decode_hosts([entry]) == [decoded]
    host = Host(decoded, 0)
    assert host.where == where
    pool = host.pool()
    made = host.connection(pool)
    assert type(made) is connection
    assert made.socket_timeout is None, "limits are kept by the layer, whatever redis-py's default is"


def test_nothing_that_was_given_is_changed() -> None:
    given: list[Any] = [
        {"address": "redis://h", "socket_timeout": 3},
        {"sentinels": [("a", 1)], "master_name": "m"},
    ]
    before = [dict(entry) for entry in given]
    for index, decoded in enumerate(decode_hosts(given)):
        Host(decoded, index).pool()
    assert given == before


def test_any_iterable_of_hosts() -> None:
    assert decode_hosts(url for url in ["redis://h"]) == [{"address": "redis://h"}]
    assert decode_hosts({"redis://h"}) == [{"address": "redis://h"}]
    assert decode_hosts(iter(())) == decode_hosts(None)


@pytest.mark.parametrize(
    ("entry", "reply_s", "connect_s"),
    [
        ("redis://h", 5, 5),
        ("redis://h?socket_timeout=20&socket_connect_timeout=2", 20, 2),
        ({"address": "redis://h", "socket_timeout": 30}, 30, 5),
        ({"host": "h", "socket_connect_timeout": 1.5}, 5, 1.5),
    ],
)
def test_time_limits(entry: Any, reply_s: float, connect_s: float) -> None:
    host = Host(decode_hosts([entry])[0], 0)
    assert (host.reply_timeout_s, host.connect_timeout_s) == (reply_s, connect_s)


@pytest.mark.parametrize(
    ("hosts", "error"),
    [
        ("redis://u:secret@h", "You must pass a list of Redis hosts, even if there is only one."),
        (b"redis://h", "You must pass a list of Redis hosts"),
        ({"host": "h"}, "hosts must be a list"),
        (("127.0.0.1", 6379), r"is one \(host, port\) pair.*write hosts=\[\('127.0.0.1', 6379\)\]"),
        (5, "hosts must be a list, not 5"),
        ([{"hosst": "h", "port": 1}], "unknown option 'hosst'; did you mean 'host'"),
        ([{"host": "h", "connection_class": "TLS"}], r"\['connection_class'\] must be a class.*'TLS'"),
        (["localhost:6379"], "is not a Redis URL.*write 'redis://localhost:6379'"),
        (["http://h"], "is not a Redis URL"),
        (["redis://h:99999"], "is not a Redis URL"),
        (["redis://h:0"], "is not a Redis URL"),
        (["redis://h", "redis://u:secret@h:x"], r"hosts\[1\]='redis://u:\*\*\*@h:x' is not a Redis URL"),
        ([("h",)], r"is not a \(host, port\) pair"),
        ([("h", 70000)], r"hosts\[0\]: the port must be a number from 1 to 65535, not 70000"),
        ([5], r"hosts\[0\]=5 is neither a URL nor"),
        ([{}], r"hosts\[0\] needs one of: 'address'.*found nothing"),
        ([{"hosst": "h"}], r"hosts\[0\] needs one of"),
        ([{"address": 5}], r"hosts\[0\]\['address'\] must be a URL, not 5"),
        (
            [{"address": "redis://h", "socket_timout": 1}],
            "unknown option 'socket_timout'; did you mean 'socket_timeout'",
        ),
        (["redis://u:secret@h/chat"], "'/chat' is no number of a database"),
        (["unix://"], "it names no socket, as in unix:///run/redis.sock"),
        (
            ["redis://:secret@h?socket_timout=1"],
            "unknown option 'socket_timout'; did you mean 'socket_timeout'",
        ),
        ([{"sentinels": [("h", "port")], "master_name": "m"}], r"\['sentinels'\]: the port must be a number"),
        ([{"sentinels": "h", "master_name": "m"}], r"must be a list of \(host, port\) pairs"),
        ([{"sentinels": [("h", 1)]}], "needs 'master_name'"),
        (("redis://:secret@h", 6379), r"is one \(host, port\) pair"),
        ([("redis://:secret@h",)], r"\('redis://:\*\*\*@h',\) is not a \(host, port\) pair"),
        ([["redis://:secret@h"]], r"\['redis://:\*\*\*@h'\] is not a \(host, port\) pair"),
        ([{"redis://:secret@h"}], "is neither a URL nor"),
        ([{"address": ["redis://:secret@h"]}], "must be a URL"),
        ([{"sentinels": ["redis://:secret@h:1"], "master_name": "m"}], "must be a list of"),
        ([{"cluster": {"password": "secret"}}], "must be a list of nodes.*{'password': '\\*\\*\\*'}"),
        ([{"cluster": [{"host": "h", "password": "secret"}]}], "a node is a URL or"),
        (
            ["redis:/:secret@h:6379"],
            r"'redis:/:\*\*\*@h:6379' is not .*\(its path is no number.*; write 'redis://:\*\*\*@h:6379'",
        ),
        (["secret@h:6379"], r"write 'redis://\*\*\*@h:6379'"),
        (["redis://u:a://secret@h:x"], r"'redis://u:\*\*\*@h:x' is not a Redis URL"),
        pytest.param(
            *(["redis://:[secret]@h"], "is not a Redis URL"),
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 takes the brackets"),
        ),
        (["redis://h?pass=secret"], r"\?pass=\*\*\*' has an unknown option 'pass'; did you mean 'password'"),
        (["redis://h?db=1&auth=secret"], r"\?db=1&auth=\*\*\*' has an.* 'auth'; did you mean 'password'"),
        ([{"sentinels": [("h", 1, "secret")], "master_name": "m"}], r"\('h', 1, '\*\*\*'\)"),
    ],
)
def test_mistakes_are_explained(hosts: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error) as caught:
        decode_hosts(hosts)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (("h", 6379, 2), "('h', 6379, "),
        (("h", 6379, "secret"), "('h', 6379, '***')"),
        (["h", "6379", "u", "secret"], "['h', '6379', '***', '***']"),
    ],
)
def test_of_a_longer_tuple_the_host_and_the_port_count(
    entry: Any, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For channels_redis too, and many a project has a database there."""
    assert decode_hosts([entry]) == [{"host": "h", "port": 6379}]
    (record,) = caplog.records
    text = record.getMessage()
    assert f"hosts[0]={shown}" in text and "belongs into a URL" in text and "secret" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://secret@h:1/2", "redis://***@h:1/2"),
        ("redis://u:secret@h:1", "redis://u:***@h:1"),
        ("redis://h?password=secret&db=1", "redis://h?password=***&db=1"),
        pytest.param(
            "rediss://h?ssl_ca_certs=/ca.crt&ssl_password=secret",
            "rediss://h?ssl_ca_certs=/ca.crt&ssl_password=***",
            marks=pytest.mark.skipif(
                "ssl_password" not in signature(SSLConnection).parameters,
                reason="an option of later redis-py",
            ),
        ),
        ("redis://h?client_name=chat&socket_timeout=60", "redis://h?client_name=chat&socket_timeout=60"),
    ],
)
def test_what_a_layer_says_of_itself_has_no_passwords(url: str, shown: str) -> None:
    """A password that is written where the user belongs is one too."""
    assert str(RedisChannelLayer(hosts=[url])) == f"RedisChannelLayer(hosts=[{{'address': {shown!r}}}])"


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (
            "redis://h?socket_timeout=-1",
            r"hosts\[1\]: socket_timeout must be a number of seconds greater than 0",
        ),
        ({"host": "h", "socket_connect_timeout": "5"}, "socket_connect_timeout must be a number .*, not '5'"),
        ("rediss://h?ssl_cert_reqs=sometimes", r"hosts\[1\]: redis-py cannot use these options: .*sometimes"),
    ],
)
def test_what_redis_py_would_refuse_later(entry: Any, error: str) -> None:
    """When the layer is made, and not when the first message is sent."""
    with pytest.raises(ValueError, match=error):
        Host(decode_hosts([entry])[0], 1)


@pytest.mark.parametrize(
    "configured",
    [
        [{"default": {"BACKEND": "a.B", "CONFIG": {"hosts": ["redis://:secret@h"]}}}],
        {"default": "redis://:secret@h"},
        {"default": {"BACKEND": "redis://:secret@h"}},
        {"default": {"BACKEND": "redis://:secret@h.example"}},
        {"default": {"BACKEND": "compat.layers.InMemoryChannelLayer", "CONFIG": ["redis://:secret@h"]}},
        [{"CONFIG": {"symmetric_encryption_keys": ["secret"]}}],
    ],
)
def test_what_is_said_of_channel_layers_has_no_passwords(configured: Any) -> None:
    with override(CHANNEL_LAYERS=configured), pytest.raises(InvalidChannelLayerError) as caught:
        get_channel_layer()
    assert "secret" not in str(caught.value)
