"""Sends from threads and throw-away loops over connections of their own, without the background loop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.exceptions import ChannelFull, LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.redis import lines
from compat.redis.loops import background
from tests.support.layers import more_lines, open_lines, unique_prefix
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.tls import tls_server
from tests.support.waiting import until
from tests.unit.layers.redis.test_loops import HEAD, script

pytest.importorskip("hiredis")

WITHIN_S = 20.0
QUICK = "?socket_timeout=0.5"
NOBODY = {"type": "x"}

BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
Send = Callable[[str, Any], Any]


def ways(layer: Any) -> dict[str, Send]:
    return {"blocking": layer.group_send_sync, "async_to_sync": async_to_sync(layer.group_send)}


WAYS = pytest.mark.parametrize("way", ["blocking", "async_to_sync"])


def with_a_line(cls: Any, url: str, **options: Any) -> Any:
    """A layer that has been used from outside of an event loop, and so has a line."""
    layer = cls(**{"hosts": [url], "prefix": unique_prefix(), **options})
    for _ in range(2):
        layer.group_send_sync("nobody", NOBODY)
    until(lambda: open_lines(layer), "there is a line")
    return layer


def received(layer: Any, channel: str) -> Any:
    async def receive() -> Any:
        return await asyncio.wait_for(layer.receive(channel), WITHIN_S)

    return async_to_sync(receive)()


@contextlib.contextmanager
def background_held() -> Iterator[None]:
    """While it lasts the background loop does nothing."""
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go_on.wait(WITHIN_S)

    background.loop.call_soon_threadsafe(hold)
    assert held.wait(WITHIN_S)
    try:
        yield
    finally:
        go_on.set()


def elsewhere(call: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a thread of its own, that a test need not wait for forever."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *arguments).result(WITHIN_S)


@BOTH
def test_the_first_call_opens_none(cls: Any, redis_url: str) -> None:
    layer = cls(hosts=[redis_url], prefix=unique_prefix())
    layer.group_send_sync("nobody", NOBODY)
    background.submit(asyncio.sleep(0)).result(WITHIN_S)
    assert not open_lines(layer) and not layer._outside._lines._is_opening


@BOTH
@WAYS
def test_a_line_does_without_the_background_loop(cls: Any, way: str, redis_url: str) -> None:
    layer = with_a_line(cls, redis_url)
    before = layer.metrics.sent
    with background_held():
        for _ in range(3):
            elsewhere(ways(layer)[way], "nobody", NOBODY)
        elsewhere(layer.send_sync, "plain", NOBODY)
        elsewhere(async_to_sync(layer.send), "plain", NOBODY)
    assert layer.metrics.sent == before + 5 and len(open_lines(layer)) == 1


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"serializer_format": "json"},
        {"symmetric_encryption_keys": ["secret"]},
        {"channel_capacity": {"specific*": 90}},
    ],
    ids=["plain", "json", "encrypted", "capacities"],
)
def test_what_is_sent_over_a_line_arrives_in_order(cls: Any, options: Any, redis_url: str) -> None:
    layer = with_a_line(cls, redis_url, **options)
    channel, other = (async_to_sync(layer.new_channel)() for _ in range(2))
    layer.group_add_sync("room", channel)
    layer.group_add_sync("room", other)
    sends = [
        *(partial(send, "room") for send in ways(layer).values()),
        partial(layer.send_sync, channel),
        partial(async_to_sync(layer.send), channel),
        partial(layer.group_send_sync, "room", exclude=[other]),
    ]
    for number in range(40):
        sends[number % len(sends)]({"type": "x", "n": number})
    for number in range(40):
        assert received(layer, channel) == {"type": "x", "n": number}
    for number in (number for number in range(40) if number % len(sends) < 2):
        assert received(layer, other) == {"type": "x", "n": number}
    async_to_sync(layer.flush)()
    assert not open_lines(layer), "flushed: closed"


@BOTH
def test_calls_at_the_same_time_keep_their_order(cls: Any, redis_url: str) -> None:
    """The first would have a line, the others join: they are carried, and may not overtake it."""
    layer = with_a_line(cls, redis_url)
    channel = async_to_sync(layer.new_channel)()

    async def many(start: int) -> None:
        await asyncio.gather(
            *(layer.send(channel, {"type": "x", "n": number}) for number in range(start, start + 20))
        )
        await layer.send(channel, {"type": "x", "n": start + 20})

    for start in (0, 21):
        async_to_sync(many)(start)
    assert [received(layer, channel)["n"] for _ in range(42)] == list(range(42))
    async_to_sync(layer.flush)()


def test_a_send_does_not_overtake_a_join(redis_url: str) -> None:
    layer = with_a_line(RedisChannelLayer, redis_url)
    channel = async_to_sync(layer.new_channel)()

    async def join_and_send() -> None:
        await asyncio.gather(layer.group_add("room", channel), layer.group_send("room", {"type": "x"}))

    async_to_sync(join_and_send)()
    assert received(layer, channel) == {"type": "x"}
    async_to_sync(layer.flush)()


@pytest.mark.parametrize(
    "options", [{}, {"symmetric_encryption_keys": ["secret"]}], ids=["plain", "encrypted"]
)
def test_capacity_is_counted(options: Any, redis_url: str) -> None:
    layer = with_a_line(RedisChannelLayer, redis_url, capacity=2, **options)
    with background_held():
        for channel in ("plain", "specific.dead!a", "specific.dead!b"):
            for send in (layer.send_sync, async_to_sync(layer.send)):
                elsewhere(send, channel, NOBODY)
            for send in (layer.send_sync, async_to_sync(layer.send)):
                with pytest.raises(ChannelFull):
                    elsewhere(send, channel, NOBODY)
    layer.group_add_sync("room", "plain")
    assert layer.group_send_sync("room", NOBODY) == (0, 1) and layer.metrics.dropped == {"queue full": 1}


@BOTH
@WAYS
def test_what_cannot_travel_costs_no_line(cls: Any, way: str, redis_url: str) -> None:
    layer = with_a_line(cls, redis_url)
    before = open_lines(layer)
    for message in ({"type": object()}, "no dict"):
        with pytest.raises(TypeError):
            ways(layer)[way]("room", message)
    ways(layer)[way]("room", NOBODY)
    assert open_lines(layer) == before


@BOTH
@WAYS
def test_a_line_that_redis_has_closed_is_not_used(cls: Any, way: str, redis_server: RedisServer) -> None:
    layer = with_a_line(cls, redis_server.url)
    (line,) = open_lines(layer)
    redis_server.restart()
    until(lambda: not line.is_alive(), "the end has come")
    with contextlib.suppress(LayerUnavailable):  # the background loop need not have noticed
        ways(layer)[way]("nobody", NOBODY)
    ways(layer)[way]("nobody", NOBODY)
    assert line not in open_lines(layer)


@BOTH
@WAYS
def test_a_redis_that_does_not_answer(cls: Any, way: str, redis_server: RedisServer) -> None:
    layer = with_a_line(cls, redis_server.url + QUICK)
    redis_server.pause()
    with pytest.raises(LayerUnavailable, match=r"no answer within 0\.5 s"):
        ways(layer)[way]("nobody", NOBODY)
    redis_server.resume()
    ways(layer)[way]("nobody", NOBODY)


@WAYS
def test_one_call_waits_for_a_redis_that_does_not_answer(way: str, redis_server: RedisServer) -> None:
    """The other lines lead to the same Redis, so the next call need not wait on them."""
    layer = with_a_line(RedisPubSubChannelLayer, redis_server.url + QUICK)
    more_lines(layer, 3)
    redis_server.pause()
    with pytest.raises(LayerUnavailable, match=r"no answer within 0\.5 s"):
        ways(layer)[way]("nobody", NOBODY)
    assert not open_lines(layer)
    redis_server.resume()
    ways(layer)[way]("nobody", NOBODY)


@BOTH
@WAYS
def test_a_redis_that_ends_in_a_call(cls: Any, way: str, redis_server: RedisServer) -> None:
    layer = with_a_line(cls, redis_server.url)
    (line,) = open_lines(layer)
    redis_server.pause()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(ways(layer)[way], "nobody", NOBODY)
        until(lambda: line.owes, "a command is on its way")
        redis_server.kill()
        with pytest.raises(LayerUnavailable, match=r"closed by server|reset by peer|broken pipe"):
            sending.result(WITHIN_S)
    assert not open_lines(layer)
    with pytest.raises(LayerUnavailable, match=r"refused|closed by server|reset by peer"):
        ways(layer)[way]("nobody", NOBODY)


def test_a_call_that_was_cancelled_leaves_no_reply_to_the_next(redis_server: RedisServer) -> None:
    layer = with_a_line(RedisChannelLayer, redis_server.url)
    layer.group_add_sync("room", "plain")

    async def impatient() -> None:
        await asyncio.wait_for(layer.group_send("room", NOBODY), 0.2)

    redis_server.pause()
    with pytest.raises(asyncio.TimeoutError):
        async_to_sync(impatient)()
    redis_server.resume()
    assert async_to_sync(layer.group_send)("nobody", NOBODY) == (0, 0)


def test_a_call_that_was_interrupted_leaves_no_reply_to_the_next(redis_server: RedisServer) -> None:
    layer = with_a_line(RedisChannelLayer, redis_server.url)
    layer.group_add_sync("room", "plain")

    class Interrupt(BaseException):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupt

    redis_server.pause()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupt):
            layer.group_send_sync("room", NOBODY)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        redis_server.resume()
    assert layer.group_send_sync("nobody", NOBODY) == (0, 0)


@WAYS
def test_scripts_that_redis_has_lost(way: str, redis_server: RedisServer) -> None:
    layer = with_a_line(RedisChannelLayer, redis_server.url)
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.script_flush()
    with background_held():
        assert elsewhere(ways(layer)[way], "nobody", NOBODY) == (0, 0)


@WAYS
def test_a_master_that_became_a_replica(way: str, redis_server: RedisServer) -> None:
    layer = with_a_line(RedisChannelLayer, redis_server.url)
    layer.group_add_sync("room", "plain")
    with redis.Redis.from_url(redis_server.url) as wire:
        wire.replicaof("127.0.0.1", free_port())
        with pytest.raises(LayerUnavailable, match="read-only replica"):
            ways(layer)[way]("room", NOBODY)
        assert not open_lines(layer), "the next connection may find the new master"
        wire.replicaof("NO", "ONE")
    until(lambda: _sent(ways(layer)[way]), "it is served again")


def _sent(send: Send) -> bool:
    try:
        return bool(send("room", NOBODY))
    except LayerUnavailable:
        return False


def test_threads_come_and_go(redis_server: RedisServer) -> None:
    """However many there were, connections are few."""
    layer = with_a_line(RedisPubSubChannelLayer, redis_server.url)
    for _ in range(5):
        threads = [
            threading.Thread(target=lambda: [layer.group_send_sync("nobody", NOBODY) for _ in range(20)])
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert layer.metrics.sent == 5 * 10 * 20 + 2
    assert len(open_lines(layer)) <= lines.MOST
    async_to_sync(layer.close_pools)()
    with redis.Redis.from_url(redis_server.url) as wire:
        until(lambda: len(wire.client_list()) == 1, "all are closed but this one")


def test_a_fork_and_the_end(redis_url: str) -> None:
    """A child does not talk over its parent's line; nothing is said at the end of either."""
    out = script(
        redis_url,
        HEAD
        + """
import time
def have_a_line():
    deadline = time.monotonic() + 20
    while not pubsub._outside._lines._idle and time.monotonic() < deadline:
        pubsub.group_send_sync("room", {"type": "x"})
    return len(pubsub._outside._lines._idle)
print(have_a_line())
parents = set(pubsub._outside._lines._lines)
pid = os.fork()
if pid == 0:
    pubsub.group_send_sync("room", {"type": "x"})
    sys.stdout.write(f"child {len(parents & pubsub._outside._lines._lines)} {have_a_line()}\\n")
    sys.exit()
print(os.waitpid(pid, 0)[1])
line = pubsub._outside._lines.take()
pubsub._outside._lines.give_back(line)
print(line.is_alive(), have_a_line())
""",
        "-W",
        "ignore::DeprecationWarning",
        "-u",
    )
    assert out == "1\nchild 0 1\n0\nTrue 1\n"


def test_what_a_subclass_overrides_is_called() -> None:
    sent: list[str] = []

    class Counting(RedisPubSubChannelLayer):
        async def group_send(self, group: str, message: Any, exclude: Any = ()) -> Any:
            await asyncio.sleep(0)
            sent.append(group)

        async def send(self, channel: str, message: Any) -> None:
            await asyncio.sleep(0)
            sent.append(channel)

    layer = Counting(hosts=[f"redis://127.0.0.1:{free_port()}"])
    layer.group_send_sync("room", NOBODY)
    layer.send_sync("plain", NOBODY)
    assert sent == ["room", "plain"]


@BOTH
def test_several_hosts_have_none(cls: Any, redis_url: str) -> None:
    layer = cls(hosts=[f"{redis_url}/1", f"{redis_url}/2"], prefix=unique_prefix())
    _carries_all(layer)


@BOTH
def test_none_without_hiredis(cls: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "Parser", None)
    _carries_all(cls(hosts=[redis_url], prefix=unique_prefix()))


@BOTH
def test_tls_has_none(cls: Any, tmp_path: Path) -> None:
    server, port, cert = tls_server(tmp_path)
    try:
        _carries_all(cls(hosts=[f"rediss://127.0.0.1:{port}?ssl_ca_certs={cert}"]))
    finally:
        server.stop()


def _carries_all(layer: Any) -> None:
    for send in ways(layer).values():
        for number in range(3):
            send(f"room{number}", NOBODY)
    background.submit(asyncio.sleep(0)).result(WITHIN_S)
    until(lambda: not layer._outside._lines._is_opening, "an attempt, if there was one, is over")
    assert layer.metrics.sent == 6 and not open_lines(layer)
    async_to_sync(layer.close_pools)()
