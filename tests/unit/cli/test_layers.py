"""`channels-compat layers`: what it says of layers that work, that are slow to blame, and that are wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from compat.cli import layer_trial, layers, top
from compat.cli.layers import NoGroup, NoLayers, show, show_dead, show_history, show_presence
from compat.engine.inbox import Inbox
from compat.exceptions import ImproperlyConfigured
from compat.layers import channel_layers, get_channel_layer, register_channel_layer, unregister_channel_layer
from compat.layers.redis import RedisStreamsChannelLayer
from compat.redis.unavailable import RedisRefused, RedisTimedOut
from compat.settings import override
from tests.support.layers import ReceiveOnlyLayer, databases, unique_prefix
from tests.support.processes import free_port
from tests.support.redis_cluster import shared_cluster
from tests.support.redis_server import Keyless, RedisServer
from tests.support.waiting import until_async, until_awaited

QUEUE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
STREAMS = "compat.layers.redis.streams.RedisStreamsChannelLayer"
MS = r"\d+\.\d ms"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    for alias in tuple(channel_layers.backends):
        unregister_channel_layer(alias)


def shown(capsys: pytest.CaptureFixture[str], **entries: Any) -> tuple[bool, str]:
    """Whether all is well, and what was printed."""
    with override(CHANNEL_LAYERS=entries):
        fine = show()
    return fine, capsys.readouterr().out


def on(url: str, backend: str = QUEUE, **config: Any) -> dict[str, Any]:
    return {"BACKEND": backend, "CONFIG": {"hosts": [url], "prefix": unique_prefix(), **config}}


@pytest.mark.parametrize("backend", [QUEUE, PUBSUB])
def test_a_layer_that_works(capsys: pytest.CaptureFixture[str], redis_url: str, backend: str) -> None:
    fine, out = shown(capsys, default=on(redis_url, backend, capacity=7))
    assert fine
    first, server, trip, limits = out.splitlines()
    where = redis_url.removeprefix("redis://")
    assert first == f"default: {backend.rpartition('.')[2]} at {where}"
    assert re.fullmatch(rf"    (Redis|Valkey) [\d.]+ at {re.escape(where)}, ping {MS}", server)
    assert re.fullmatch(rf"    send and receive {MS}, through a group {MS}", trip)
    assert limits == "    capacity 7" + (", expiry 60 s" if backend == QUEUE else "")


def test_it_leaves_nothing_behind(capsys: pytest.CaptureFixture[str], redis_server: RedisServer) -> None:
    shown(capsys, default=on(redis_server.url), other=on(redis_server.url, PUBSUB))
    with redis.Redis.from_url(redis_server.url) as wire:
        assert wire.keys("*") == []


def test_every_alias_and_every_host(capsys: pytest.CaptureFixture[str], redis_url: str) -> None:
    """One that is wrong does not hide the others."""
    away = free_port()
    fine, out = shown(
        capsys,
        chat={"BACKEND": QUEUE, "CONFIG": {"hosts": databases(redis_url, 3), "prefix": unique_prefix()}},
        jobs=on(f"redis://127.0.0.1:{away}"),
        local={"BACKEND": "channels.layers.InMemoryChannelLayer"},
        typo={"BACKEND": QUEUE, "CONFIG": {"capacty": 5}},
    )
    assert not fine
    chat, jobs, local, typo = re.split(r"\n(?=\w)", out)
    assert chat.count("ping") == 3 and "wrong" not in chat
    assert f"jobs: RedisChannelLayer at 127.0.0.1:{away}" in jobs
    assert f"wrong: channel layer 'jobs' cannot use Redis at 127.0.0.1:{away}: connection refused" in jobs
    assert "Start redis-server there" in jobs and "send and receive" not in jobs
    assert "local: InMemoryChannelLayer (this process only)" in local and "capacity 100, expiry 60 s" in local
    assert "typo: configured wrongly" in typo and "did you mean 'capacity'" in typo


def test_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = shared_cluster()
    entry = {"hosts": [cluster.entry(shards=4)], "prefix": unique_prefix()}
    fine, out = shown(capsys, default={"BACKEND": QUEUE, "CONFIG": entry})
    assert fine and out.count("ping") == len(cluster.masters)
    assert f"127.0.0.1:{cluster.masters[0].port}" in out and "4 shards on 3 masters, sharded pub/sub" in out


@pytest.mark.parametrize("letters", [0, 1, 3])
def test_dead_letters(capsys: pytest.CaptureFixture[str], redis_url: str, letters: int) -> None:
    prefix = unique_prefix()

    async def die() -> None:
        layer = RedisStreamsChannelLayer([redis_url], prefix, tries=1, takeover=1)
        for number in range(letters):
            await layer.send("tasks", {"type": "poison", "n": number})
            (await layer.take("tasks")).failed()
        waiting = asyncio.ensure_future(layer.take("tasks"))
        await until_async(lambda: layer.metrics.dropped.get("dead", 0) == letters, "they are dead")
        waiting.cancel()
        await layer.close_pools()

    asyncio.run(die())
    with override(CHANNEL_LAYERS={"default": on(redis_url, STREAMS, prefix=prefix), "jobs": on(redis_url)}):
        assert show_dead() is (letters == 0)
    out = capsys.readouterr().out
    assert out.startswith(f"default: {letters or 'no'} dead letters") and "jobs" not in out
    for number in range(letters):
        assert f"{{'type': 'poison', 'n': {number}}}" in out


def test_nothing_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NoLayers, match="channels-compat layers main:app"):
        shown(capsys)


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (lambda: show(), "layers"),
        (lambda: show_dead(), "layers --dead"),
        (lambda: show_history("chat_lobby"), "history chat_lobby"),
        (lambda: show_presence("chat lobby"), "presence 'chat lobby'"),
        (lambda: top.show(once=True), "top --once"),
    ],
)
@pytest.mark.parametrize("module", [None, "site_settings"])
def test_nothing_is_configured_for_a_command(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], command: str, module: str | None
) -> None:
    """Was: each of them advised to write channels-compat layers."""
    monkeypatch.setattr(layers, "module_name", lambda: module)
    with pytest.raises(NoLayers) as caught, override(CHANNEL_LAYERS={}):
        call()
    assert f"channels-compat {command} main:app" in str(caught.value)
    assert (f"channels-compat {command} --settings" in str(caught.value)) is (module is None)


def test_a_wrong_password(capsys: pytest.CaptureFixture[str], redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.config_set("requirepass", "right")
    fine, out = shown(capsys, default=on(redis_server.url.replace("://", "://:wrong@")))
    assert not fine
    assert "wrong: " in out and "invalid username-password pair" in out and "wrong@" not in out


def test_a_credential_provider_that_fails(capsys: pytest.CaptureFixture[str], redis_port: int) -> None:
    """Was: a traceback."""
    host = {"host": "127.0.0.1", "port": redis_port, "credential_provider": Keyless()}
    fine, out = shown(capsys, default={"BACKEND": QUEUE, "CONFIG": {"hosts": [host]}})
    assert not fine and "wrong: KeyError: 'TOKEN'" in out


def test_a_user_who_may_not_ask(capsys: pytest.CaptureFixture[str], redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all", "-info")
    fine, out = shown(capsys, default=on(redis_server.url.replace("://", "://app:pw@")))
    assert fine
    assert "Redis (it does not tell this user its version) at" in out and "send and receive" in out


async def test_a_connection_that_ends_while_the_version_is_asked() -> None:
    """Was: the user has no permission to read it."""

    async def reply(error: Exception) -> bytes:
        raise error

    with pytest.raises(RedisTimedOut):
        await layer_trial._about(reply(RedisTimedOut("late", "late")))
    assert await layer_trial._about(reply(RedisRefused("unknown command", "unknown command"))) == {}


@pytest.mark.parametrize("backend", [QUEUE, PUBSUB])
def test_a_replica(capsys: pytest.CaptureFixture[str], redis_server: RedisServer, backend: str) -> None:
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.replicaof("127.0.0.1", "1")
    fine, out = shown(capsys, default=on(redis_server.url, backend))
    assert not fine
    assert "it is a read-only replica; name its master" in out


def test_a_redis_that_is_full(capsys: pytest.CaptureFixture[str], redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.config_set("maxmemory", 1)
        fine, out = shown(capsys, default=on(redis_server.url))
        assert (
            not fine
            and "wrong: channel layer 'default'" in out
            and "out of memory; raise its maxmemory" in out
        )
        wire.config_set("maxmemory", "100mb")
        wire.config_set("maxmemory-policy", "allkeys-lru")
        fine, out = shown(capsys, default=on(redis_server.url))
        assert fine and "remark: " in out and "maxmemory-policy allkeys-lru" in out and "noeviction" in out


def test_a_redis_that_does_not_answer(capsys: pytest.CaptureFixture[str], redis_server: RedisServer) -> None:
    redis_server.pause()
    try:
        fine, out = shown(capsys, default=on(f"{redis_server.url}?socket_timeout=1&socket_connect_timeout=1"))
    finally:
        redis_server.resume()
    assert not fine and "no answer within 1 s" in out


class Deaf(ReceiveOnlyLayer):
    """It loses what it is given."""

    async def send(self, channel: str, message: Any) -> None:
        pass


class Broken(ReceiveOnlyLayer):
    async def new_channel(self, prefix: str = "specific.") -> str:
        raise KeyError("a bug of its own")


class Stuck(ReceiveOnlyLayer):
    async def group_add(self, group: str, channel: str) -> None:
        await asyncio.Event().wait()


class Mixed(ReceiveOnlyLayer):
    async def receive(self, channel: str) -> Any:
        return {"type": "of somebody else"}


class NoGroups(ReceiveOnlyLayer):
    extensions = ()

    def __init__(self) -> None:
        super().__init__()
        del self.capacity


def test_other_peoples_layers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_trial, "WITHIN_S", 1.0)
    made = {
        "broken": Broken(),
        "deaf": Deaf(),
        "fine": ReceiveOnlyLayer(),
        "mixed": Mixed(),
        "plain": NoGroups(),
        "stuck": Stuck(),
    }
    for alias, layer in made.items():
        register_channel_layer(alias, layer)
    fine, out = shown(capsys)
    assert not fine
    said = dict(zip(made, re.split(r"\n(?=\w)", out), strict=True))
    assert "wrong: KeyError: 'a bug of its own'" in said["broken"]
    assert "wrong: a message that was sent did not come back within 1 s" in said["deaf"]
    assert "wrong: group_add() did not return within 1 s" in said["stuck"]
    assert "wrong: AssertionError" in said["mixed"] and "of somebody else" in said["mixed"]
    assert "through a group" in said["fine"] and "wrong" not in said["fine"]
    assert "through a group" not in said["plain"] and "capacity unknown" in said["plain"]


async def test_who_is_present(capsys: pytest.CaptureFixture[str], redis_url: str) -> None:
    entry = on(redis_url, PUBSUB)
    with override(CHANNEL_LAYERS={"default": entry}):
        layer: Any = get_channel_layer()
        channel = ""
        for key, meta in (("7", {"name": "Ada"}), ("7", None), ("9", {"name": "\x1b[31m"})):
            channel = await layer.new_channel()
            layer.attach(channel, Inbox(asyncio.get_running_loop()))
            await layer.track("chat_x", channel, key, meta)
        layer.away(channel, True)

        async def is_away() -> bool:
            people = await layer.presence("chat_x")
            return bool(people["9"]["away"])

        await until_awaited(is_away, True)
        await asyncio.to_thread(show_presence, "chat_x")
        lines = capsys.readouterr().out.splitlines()
        await asyncio.to_thread(show_presence, "chat_quiet")
        quiet = capsys.readouterr().out
    assert lines == [
        "7: 2 connections  {'name': 'Ada'}",
        "9: 1 connection, away  {'name': '\\x1b[31m'}",
        "default: 2 people in chat_x",
    ]
    assert quiet == 'default: nobody in chat_quiet, and CONFIG["presence"] has no rule for it\n'


def test_who_is_present_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"BACKEND": "compat.layers.InMemoryChannelLayer"}
    with override(CHANNEL_LAYERS={"default": entry, "mine": {"BACKEND": f"{__name__}.ReceiveOnlyLayer"}}):
        show_presence("chat_x")
        assert "nobody in chat_x, in this process: it is in memory" in capsys.readouterr().out
        with pytest.raises(NoLayers, match="no layer 'mine' with presence; configured: default, mine"):
            show_presence("chat_x", layer="mine")
        for command in (show_presence, show_history):
            with pytest.raises(NoGroup, match="contains ' '"):
                command("chat x")


def test_a_history(capsys: pytest.CaptureFixture[str], redis_url: str) -> None:
    entry = on(redis_url, PUBSUB, history={"chat_*": {"count": 5}})
    with override(CHANNEL_LAYERS={"default": entry}):
        for number in range(7):
            message = {"type": "chat.message", "n": number, "text": "\x1b[31m"}
            get_channel_layer().group_send_sync("chat_x", message)
        show_history("chat_x", count=2)
        lines = capsys.readouterr().out.splitlines()
        show_history("chat_quiet")
        quiet = capsys.readouterr().out
        with pytest.raises(ImproperlyConfigured, match="keeps no history of group 'other'"):
            show_history("other")
    assert [re.sub("^[0-9a-f]{16}-", "", line) for line in lines[:2]] == [
        f"{number + 1}  {{'type': 'chat.message', 'n': {number}, 'text': '\\x1b[31m'}}" for number in (5, 6)
    ]
    assert lines[2].startswith("default: 2 messages of chat_x; there have been others")
    assert quiet == "default: no messages of chat_quiet\n"
