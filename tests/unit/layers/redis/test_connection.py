"""One connection: what leaves together, what comes back in order, and how it ends when something is wrong."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer
from compat.redis.connection import Link
from compat.redis.encoding import encode_command
from compat.redis.reasons import reason_of
from tests.support.layers import unique_prefix
from tests.support.processes import free_port
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async


@pytest_asyncio.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[Link]:
    async with with_limit(redis_server.url) as link:
        yield link


class with_limit:
    """A connection through which answers must come within ``limit_s``."""

    def __init__(self, url: str, limit_s: float = 10, **options: Any) -> None:
        limits = f"socket_timeout={limit_s}&socket_connect_timeout={limit_s}"
        self.layer = RedisChannelLayer(hosts=[f"{url}?{limits}"])
        self.options = options

    async def __aenter__(self) -> Link:
        host = self.layer.redis_hosts[0]
        self.link = await Link.open(host, host.pool(), self.layer.explain, **self.options)
        return self.link

    async def __aexit__(self, *exc_info: object) -> None:
        await self.link.aclose()


def test_commands_in_the_redis_protocol() -> None:
    assert encode_command([b"SET", "é", 5, 0.5, b""]) == (
        b"*5\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$1\r\n5\r\n$3\r\n0.5\r\n$0\r\n\r\n"
    )


async def test_replies_come_in_order(link: Link) -> None:
    futures = [link.call(b"ECHO", number) for number in range(1000)]
    assert [int(await future) for future in futures] == list(range(1000))
    link.tell(b"SET", "key", 1)
    assert await link.call(b"INCR", "key") == 2


async def test_what_is_called_in_one_turn_leaves_in_one_write(redis_server: RedisServer) -> None:
    chunks: list[bytes] = []
    with Proxy(redis_server.port) as proxy:
        async with with_limit(proxy.url) as link:
            await link.call(b"PING")

            def note(data: bytes, to_server: bool) -> bytes:
                if to_server:
                    chunks.append(data)
                return data

            proxy.before = note
            await asyncio.gather(*(link.call(b"ECHO", number) for number in range(50)))
    assert b"".join(chunks).count(b"ECHO") == 50
    assert len(chunks) == 1


async def test_a_cancelled_call_does_not_shift_the_others(link: Link) -> None:
    first, second = link.call(b"ECHO", "one"), link.call(b"ECHO", "two")
    first.cancel()
    assert await second == b"two"


async def test_what_cannot_be_sent_does_not_shift_the_others(link: Link) -> None:
    with pytest.raises(UnicodeEncodeError):
        link.call(b"ECHO", "\ud800")
    assert await link.call(b"ECHO", "two") == b"two"


async def test_an_error_is_the_calls_own(link: Link) -> None:
    wrong, right = link.call(b"NO-SUCH-COMMAND"), link.call(b"PING")
    with pytest.raises(LayerUnavailable, match="it lacks a command that the layer needs"):
        await wrong
    assert await right == b"PONG"
    await link.call(b"SET", "key", "text")
    with pytest.raises(LayerUnavailable, match="foreign data"):
        await link.call(b"ZADD", "key", 1, "member")
    assert not link.closed


async def test_an_answer_that_does_not_come(redis_server: RedisServer) -> None:
    ends: list[str] = []
    async with with_limit(redis_server.url, 0.5, on_end=ends.append) as link:
        await link.call(b"PING")
        redis_server.pause()
        try:
            with pytest.raises(LayerUnavailable, match=r"no answer within 0\.5 s"):
                await link.call(b"PING")
        finally:
            redis_server.resume()
        assert link.closed and ends == ["no answer within 0.5 s"]
        with pytest.raises(LayerUnavailable, match=r"no answer within 0\.5 s"):
            await link.call(b"PING")


async def test_a_connection_that_breaks(redis_server: RedisServer) -> None:
    ends: list[str] = []
    with Proxy(redis_server.port) as proxy:
        async with with_limit(proxy.url, on_end=ends.append) as link:
            waiting = link.call(b"BLPOP", "nothing", 0)
            await asyncio.to_thread(proxy.cut)
            with pytest.raises(LayerUnavailable, match=r"reset by peer|closed by server"):
                await waiting
            assert link.closed and len(ends) == 1


@pytest.mark.parametrize("how", ["closed", "cut", "late", "cut while a reader is paused"])
async def test_a_connection_that_ends_leaves_nothing_to_the_garbage_collector(
    redis_server: RedisServer, how: str
) -> None:
    """Was: each outage left all that the connection had read, some 20 KiB or more."""
    paused = asyncio.Event()

    async def pause() -> None:
        paused.set()
        await asyncio.get_running_loop().create_future()

    options: dict[str, Any] = {"on_message": lambda topic, body: pause()} if "paused" in how else {}
    gc.disable()
    try:
        with Proxy(redis_server.port) as proxy:
            limited = with_limit(proxy.url, 0.5 if how != "cut" else 10, **options)
            link = await limited.__aenter__()
            await link.call(b"SUBSCRIBE" if options else b"PING", *(("topic",) if options else ()))
            if options:
                async with with_limit(redis_server.url) as other:
                    await other.call(b"PUBLISH", "topic", "x")
                await paused.wait()
            left = [weakref.ref(link), weakref.ref(getattr(link.connection, "_reader"))]  # noqa: B009
            if how == "closed":
                await link.aclose()
            elif how == "late":
                with pytest.raises(LayerUnavailable, match="no answer within"):
                    await link.call(b"BLPOP", "nothing", 0)
            else:
                waiting = link.call(b"PING")
                await asyncio.to_thread(proxy.cut)
                with pytest.raises(LayerUnavailable):
                    await waiting
                del waiting
            del link, limited.link
            await until_async(lambda: [there() for there in left] == [None, None], "it is freed")
    finally:
        gc.enable()


async def test_a_call_to_a_closed_connection_that_nobody_awaits(link: Link) -> None:
    """Its error is no news: of several calls, the caller may see the first error only."""
    told: list[str] = []
    link.loop.set_exception_handler(lambda _, context: told.append(context["message"]))
    link.end("it has to")
    calls = [link.call(b"PING") for _ in range(2)]
    with pytest.raises(LayerUnavailable, match="it has to"):
        await calls[0]
    calls.clear()
    gc.collect()
    assert told == []


async def test_a_connection_that_is_half_closed(redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        async with with_limit(proxy.url) as link:
            await link.call(b"PING")
            await asyncio.to_thread(proxy.half_close)
            await until_async(lambda: link.closed, "the end is noticed")


async def test_nobody_there() -> None:
    with pytest.raises(LayerUnavailable, match="connection refused"):
        async with with_limit(f"redis://127.0.0.1:{free_port()}"):
            pass


async def test_somebody_there_who_does_not_answer(redis_server: RedisServer) -> None:
    redis_server.pause()
    try:
        with pytest.raises(LayerUnavailable, match=r"no answer within 0\.5 s"):
            async with with_limit(redis_server.url, 0.5):
                pass
    finally:
        redis_server.resume()


async def test_a_wrong_password(redis_server: RedisServer) -> None:
    async with with_limit(redis_server.url) as link:
        await link.call(b"CONFIG", b"SET", b"requirepass", b"right")
    with pytest.raises(LayerUnavailable, match="Authentication required"):
        async with with_limit(redis_server.url) as link:
            await link.call(b"PING")
    with pytest.raises(LayerUnavailable, match="invalid username-password pair") as caught:
        async with with_limit(redis_server.url.replace("://", "://:wrong@")):
            pass
    assert "wrong@" not in str(caught.value)
    async with with_limit(redis_server.url.replace("://", "://:right@")) as link:
        assert await link.call(b"PING") == b"PONG"


async def test_messages_and_replies_on_one_connection(redis_server: RedisServer) -> None:
    got: list[tuple[bytes, bytes]] = []
    async with (
        with_limit(redis_server.url, on_message=lambda topic, body: got.append((topic, body))) as link,
        with_limit(redis_server.url) as other,
    ):
        assert await link.call(b"SUBSCRIBE", "a") == [b"subscribe", b"a", 1]
        assert await link.call(b"SUBSCRIBE", "b") == [b"subscribe", b"b", 2]
        for number in range(3):
            await other.call(b"PUBLISH", "a", number)
        assert await link.call(b"PING") == [b"pong", b""]
        assert await link.call(b"UNSUBSCRIBE", "a") == [b"unsubscribe", b"a", 1]
        assert await other.call(b"PUBLISH", "a", "nobody") == 0
        assert got == [(b"a", b"0"), (b"a", b"1"), (b"a", b"2")]


def test_reasons() -> None:
    try:
        try:
            raise ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")
        except OSError as error:
            raise RuntimeError("Error 111 connecting") from error
    except RuntimeError as error:
        assert reason_of(error) == "connection refused"
    assert reason_of(RuntimeError("something.")) == "something"
    assert reason_of(RuntimeError()) == "RuntimeError"


async def test_protocol_and_decoding_of_the_url_do_not_matter(redis_url: str) -> None:
    """What redis-py would do with replies is not what the layer needs, whatever its options or defaults."""
    for options in ("", "?protocol=3", "?decode_responses=true&encoding=latin-1", "?health_check_interval=1"):
        layer = RedisChannelLayer(hosts=[redis_url + options], prefix=unique_prefix())
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "x", "text": "é", "bytes": b"\xff"})
        await layer.send("plain", {"type": "y"})
        assert await asyncio.wait_for(layer.receive(channel), 20) == {
            "type": "x",
            "text": "é",
            "bytes": b"\xff",
        }
        assert await asyncio.wait_for(layer.receive("plain"), 20) == {"type": "y"}
        await layer.flush()
