"""Chains, validation, logging, and rate limits that are exact."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.sentinel import Sentinel

from compat.manager import BaseConsumer, Connection, Message
from compat.manager.exceptions import BaseError, RateLimitError, ValidationError
from compat.manager.middleware import (
    Chain,
    LoggingMiddleware,
    Middleware,
    RateLimitMiddleware,
    ValidationMiddleware,
)
from compat.manager.middleware.windows import LocalWindows, RedisWindows
from tests.support.logs import recorded
from tests.support.processes import free_port
from tests.support.redis_cluster import shared_cluster
from tests.unit.manager.conftest import MakeManager, connector
from tests.unit.manager.sockets import Peer

CONSUMER: Any = None


def connection(name: str = "ws.1", user: str = "alice") -> Connection:
    return Connection(websocket=Peer().websocket, channel_name=name, user_id=user)


class Mark(Middleware):
    """Writes its letter on a message."""

    def __init__(self, letter: str, next_middleware: Any = None) -> None:
        super().__init__(next_middleware)
        self.letter = letter

    async def process(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        message.data = f"{message.data or ''}{self.letter}"
        return message


async def marked(stack: Any) -> Any:
    message = await stack(Message(type="x"), connection(), CONSUMER)
    return None if message is None else message.data


# Chains


async def test_chains_run_in_their_order_and_change_nobody() -> None:
    a, b, c = Mark("a"), Mark("b"), Mark("c")
    assert await marked(a >> b >> c) == "abc" == await marked(a | b | c) == await marked(a >> (b >> c))
    assert await marked(b >> a) == "ba" and await marked((a >> b) >> (c >> a)) == "abca"
    assert await marked(a) == "a" and a.next_middleware is None
    assert await marked(Mark("x", Mark("y", Mark("z")))) == "xyz"
    assert await marked(Mark("x", a >> b) >> c) == "xabc"


async def test_functions_are_links_too() -> None:
    async def f(message: Message, connection: Connection, consumer: Any) -> Message:
        message.data += "f"
        return message

    class Callable:
        async def __call__(self, message: Message, connection: Connection, consumer: Any) -> Message:
            message.data += "g"
            return message

    assert await marked(Mark("a") >> f >> Callable() >> Mark("b")) == "afgb"

    async def start(message: Message, connection: Connection, consumer: Any) -> Message:
        message.data = "s"
        return message

    assert await marked(start >> Mark("a")) == "sa" == await marked(start | Mark("a"))


async def test_none_stops_the_chain() -> None:
    async def stop(message: Message, connection: Connection, consumer: Any) -> None:
        return None

    reached: list[Any] = []

    async def reach(message: Message, connection: Connection, consumer: Any) -> Message:
        reached.append(message)
        return message

    assert await marked(Mark("a") >> stop >> reach) is None and reached == []


@pytest.mark.parametrize("wrong", [Mark, None, lambda message, connection, consumer: message, "x"])
def test_what_cannot_be_a_link(wrong: Any) -> None:
    with pytest.raises(TypeError, match="made of Middleware and of async functions"):
        _ = Mark("a") >> wrong
    with pytest.raises(TypeError, match="made of Middleware and of async functions"):
        Chain(wrong)


# Validation


class Note(BaseModel):
    text: str
    count: int = 1


async def validate(message: Message, **options: Any) -> Message | None:
    return await ValidationMiddleware(options.pop("size", 100), **options)(message, connection(), CONSUMER)


async def test_what_is_valid_passes() -> None:
    message = Message(type="x", data={"a": 1})
    assert await validate(message, size=1000) is message
    assert await validate(Message(type="binary", binary_data=b"x" * 100)) is not None


@pytest.mark.parametrize(
    "message",
    [
        Message(type="x", data="y" * 200),
        Message(type="x", size=101),
        Message(type="b", binary_data=b"x" * 101),
    ],
)
async def test_what_is_too_large_is_refused(message: Message) -> None:
    with pytest.raises(ValidationError, match=r"too large: \d+ bytes \(max: 100\)") as raised:
        await validate(message)
    error = raised.value
    assert error.details["reason"] == "too_large" and error.ws_code == 1009 and not error.should_disconnect()
    assert (error.context.user_id, error.context.connection_id, error.context.message_type) == (
        "alice",
        "ws.1",
        message.type,
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": ""}, "'type'"),
        ({"type": "  "}, "'type'"),
        ({"type": 3}, "'type'"),
        ({"type": "x" * 201}, "'type'"),
        ({"type": "x", "metadata": [1]}, "'metadata'"),
        ({"type": "x", "ttl_seconds": "soon"}, "'ttl_seconds'"),
    ],
)
async def test_what_is_malformed_is_refused(fields: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as raised:
        await validate(Message(**fields), size=10_000)
    assert raised.value.details["reason"] == "malformed"


async def test_what_is_too_old_goes_no_further() -> None:
    assert await validate(Message(type="x", ttl_seconds=1, created_at=0), size=1000) is None


async def test_data_can_have_a_schema() -> None:
    schemas = {"note": Note, "numbers": list[int]}
    message = await validate(Message(type="note", data={"text": "hi"}), size=1000, schemas=schemas)
    assert message is not None and message.data == Note(text="hi")
    assert await validate(Message(type="other", data={"text": 1}), size=1000, schemas=schemas) is not None
    with pytest.raises(ValidationError, match="'data' of 'note' is not valid") as raised:
        await validate(Message(type="note", data={"count": "x"}), size=1000, schemas=schemas)
    problems = raised.value.details["problems"]
    assert [problem["where"] for problem in problems] == ["text", "count"]
    with pytest.raises(ValidationError):
        await validate(Message(type="numbers", data=["x"]), size=1000, schemas=schemas)


@pytest.mark.parametrize("count", [1000, 1001, 50_000])
async def test_the_problems_of_one_message_cost_little(count: int) -> None:
    """A frame of 10 MiB took half a minute and 4 GiB: a dict for each number that was none."""
    message = Message(type="numbers", data=["x"] * count)
    with pytest.raises(ValidationError) as raised:
        await validate(message, size=1_000_000, schemas={"numbers": list[int]})
    listed = raised.value.details["problems"]
    if count <= 1000:
        assert [one["where"] for one in listed] == [str(number) for number in range(20)]
    else:
        assert listed == [{"where": "", "problem": f"{count} problems, more than are listed"}]
    assert raised.value.__cause__ is None, "a traceback would list them all"


@pytest.mark.parametrize("wrong", [0, -1, "10", True, None])
def test_a_limit_that_cannot_be(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_message_size"):
        ValidationMiddleware(wrong)


# Logging


async def test_request_and_response_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = LoggingMiddleware()
    message = Message(type="note", data="secret", size=30)
    with caplog.at_level(logging.INFO, "compat.manager.messages"):
        assert await log(message, connection(), CONSUMER) is message
        await log.finished(message, connection(), CONSUMER, 0.0123, None)
        await log.finished(message, connection(), CONSUMER, 0.0123, RateLimitError())
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines == [
        ("INFO", "request note: 30 bytes from user alice on ws.1"),
        ("INFO", "response note: done in 12.3 ms, 0 frames sent to ws.1 so far"),
        ("WARNING", "response note: RATE_LIMIT_EXCEEDED after 12.3 ms on ws.1: Rate limit exceeded"),
    ]


async def test_where_and_how_loudly_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = LoggingMiddleware(logger=logging.getLogger("mine"), level=logging.DEBUG)
    with caplog.at_level(logging.DEBUG, "mine"):
        await log(Message(type="x"), connection(user=""), CONSUMER)
    assert caplog.record_tuples == [("mine", logging.DEBUG, "request x: ? bytes from user - on ws.1")]


# Rate limits


def test_a_window_slides() -> None:
    windows = LocalWindows(3, 60, 100)
    assert [windows.enter_now("a", at).remaining for at in (0, 10, 20)] == [2, 1, 0]
    assert windows.enter_now("a", 30) == (False, 0, 30)
    assert windows.enter_now("b", 30).allowed
    assert windows.enter_now("a", 59.5) == (False, 0, 0.5)
    assert windows.enter_now("a", 60).allowed  # the first has left the window; what was refused did not count
    assert windows.enter_now("a", 61) == (False, 0, 9)


def test_no_more_in_a_second_than_a_burst() -> None:
    windows = LocalWindows(100, 60, 2)
    assert windows.enter_now("a", 0).allowed and windows.enter_now("a", 0.5).allowed
    refused = windows.enter_now("a", 0.6)
    assert not refused.allowed and refused.retry_after_s == pytest.approx(0.4)
    assert windows.enter_now("a", 1.0).allowed


def test_windows_that_are_empty_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compat.manager.middleware.windows.FORGET_ABOVE", 10)
    windows = LocalWindows(3, 60, 100)
    for index in range(10):
        windows.enter_now(f"early{index}", 0)
    windows.enter_now("early0", 50)
    for index in range(10):
        windows.enter_now(f"late{index}", 61)
    assert len(windows._entries) <= 11 and windows.enter_now("early0", 61).remaining == 1


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is there, and connecting to it may take long: no window becomes a local one for that."""
    monkeypatch.setattr("compat.manager.middleware.windows.PATIENCE_S", 30)


@pytest.fixture
async def redis(redis_url: str, patient: None) -> Any:
    client = Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


async def test_windows_in_redis_are_exact_under_concurrency(
    redis: Redis, redis_url: str, prefix: str
) -> None:
    """Two servers, one window: of 100 entries at once the limit is let in, and not one more."""
    other = Redis.from_url(redis_url)
    servers = [RedisWindows(client, 10, 60, 100, prefix) for client in (redis, other)]
    verdicts = await asyncio.gather(*(servers[index % 2].enter("user:alice") for index in range(100)))
    assert sum(verdict.allowed for verdict in verdicts) == 10
    assert sorted(verdict.remaining for verdict in verdicts if verdict.allowed) == list(range(10))
    assert all(30 < verdict.retry_after_s <= 60 for verdict in verdicts if not verdict.allowed)
    assert 0 < await redis.pttl(f"{prefix}user:alice") <= 61_000
    await redis.delete(f"{prefix}user:alice")
    await other.aclose()


@pytest.mark.usefixtures("patient")
async def test_windows_in_a_cluster(prefix: str) -> None:
    client = RedisCluster.from_url(shared_cluster().masters[0].url)
    windows = RedisWindows(client, 2, 60, 100, prefix)
    for key in ("a", "b", "c"):
        assert [(await windows.enter(key)).allowed for _ in range(3)] == [True, True, False]
    await client.aclose()


async def test_who_waits_as_long_as_it_is_told_is_let_in(redis: Redis, prefix: str) -> None:
    for windows in (RedisWindows(redis, 2, 2.4, 100, prefix), LocalWindows(2, 2.4, 100)):
        assert (await windows.enter("a")).allowed and (await windows.enter("a")).allowed
        refused = await windows.enter("a")
        assert not refused.allowed and 0 < refused.retry_after_s <= 2.4
        await asyncio.sleep(refused.retry_after_s + 0.001)
        assert (await windows.enter("a")).allowed


@pytest.mark.usefixtures("patient")
def test_windows_in_redis_outlive_an_event_loop(redis_url: str, prefix: str) -> None:
    """The client of a module is used by a test's loop, and then by the next test's."""
    windows = RedisWindows(Redis.from_url(redis_url, decode_responses=True), 2, 60, 100, prefix)
    verdicts = [asyncio.run(windows.enter("a")) for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, False, False]
    asyncio.run(_forget(redis_url, f"{prefix}a"))


def test_windows_behind_sentinels_outlive_an_event_loop(prefix: str) -> None:
    sentinel = Sentinel([("127.0.0.1", free_port())], socket_timeout=0.2)  # type: ignore[no-untyped-call]
    client = sentinel.master_for("chat", check_connection=True, max_connections=7)
    windows = RedisWindows(client, 2, 60, 100, prefix)
    windows._given_away = True  # to an event loop that is closed
    assert asyncio.run(windows.enter("a")).allowed
    loop = asyncio.new_event_loop()
    pool = windows._on_loop(loop)._redis.connection_pool
    loop.close()
    assert pool.service_name == "chat" and pool.check_connection and pool.max_connections == 7
    assert pool.sentinel_manager is not sentinel
    assert pool.sentinel_manager.sentinels[0] is not sentinel.sentinels[0]


@pytest.mark.usefixtures("patient")
def test_a_pool_keeps_its_limits_in_another_event_loop(redis_url: str, prefix: str) -> None:
    pool = BlockingConnectionPool.from_url(redis_url, max_connections=3, timeout=4)
    windows = RedisWindows(Redis(connection_pool=pool), 2, 60, 100, prefix)
    verdicts = [asyncio.run(windows.enter("a")) for _ in range(3)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    loop = asyncio.new_event_loop()
    twin = windows._on_loop(loop)._redis.connection_pool
    loop.close()
    assert twin is not pool and (twin.max_connections, twin.timeout) == (3, 4)
    asyncio.run(_forget(redis_url, f"{prefix}a"))


async def _forget(redis_url: str, key: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.delete(key)


async def test_bursts_in_redis(redis: Redis, prefix: str) -> None:
    windows = RedisWindows(redis, 100, 60, 2, prefix)
    await windows.enter("a")  # so that it is connected, and a second is long
    verdicts = [await windows.enter("b") for _ in range(3)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    assert 0 < verdicts[2].retry_after_s <= 1
    await redis.delete(f"{prefix}a", f"{prefix}b")


async def test_a_clock_of_redis_that_is_set_back_locks_nobody_out(redis: Redis, prefix: str) -> None:
    windows, key = RedisWindows(redis, 2, 60, 100, prefix), f"{prefix}a"
    seconds, microseconds = await redis.time()
    ahead = (seconds + 3600) * 1e6 + microseconds
    await redis.zadd(key, {"one": ahead, "two": ahead + 1})  # the clock was an hour ahead
    assert [(await windows.enter("a")).allowed for _ in range(3)] == [True, True, False]
    await redis.delete(key)


async def test_without_redis_each_server_counts_by_itself(prefix: str) -> None:
    client = Redis.from_url(f"redis://127.0.0.1:{free_port()}")
    windows = RedisWindows(client, 2, 60, 100, prefix)
    with recorded() as records:
        assert [(await windows.enter("a")).allowed for _ in range(3)] == [True, True, False]
    assert len(records.kept) == 1 and "each server counts by itself" in records.messages()[0]
    await client.aclose()


async def test_the_middleware_refuses_with_a_hint(redis: Redis, prefix: str) -> None:
    for client in (None, redis):
        limit = RateLimitMiddleware(
            messages_per_window=3,
            window_seconds=60,
            redis=client,
            key_prefix=prefix,
            excluded_message_types={"ping"},
        )
        for _ in range(3):
            assert await limit(Message(type="x"), connection(), CONSUMER) is not None
        with recorded() as records:
            with pytest.raises(RateLimitError, match="3 messages in 60 s"):
                await limit(Message(type="x"), connection(), CONSUMER)
            with pytest.raises(RateLimitError, match="3 messages in 60 s") as raised:
                await limit(Message(type="x"), connection(), CONSUMER)
        assert len(records.kept) == 1
        error = raised.value
        assert error.retryable and not error.should_disconnect() and error.ws_code == 1008
        assert 30 < error.details["retry_after"] <= 60 and error.details["limit"] == 3
        assert error.to_response().to_dict()["details"]["retry_after"] == error.details["retry_after"]
        for _ in range(5):
            assert await limit(Message(type="ping"), connection(), CONSUMER) is not None
        assert await limit(Message(type="x"), connection("ws.2"), CONSUMER) is not None
        await redis.delete(f"{prefix}connection:ws.1", f"{prefix}connection:ws.2")


async def test_whose_window_it_is() -> None:
    per_user = RateLimitMiddleware(messages_per_window=1, per="user")
    await per_user(Message(type="x"), connection("ws.1", "alice"), CONSUMER)
    with pytest.raises(RateLimitError):
        await per_user(Message(type="x"), connection("ws.2", "alice"), CONSUMER)
    await per_user(Message(type="x"), connection("ws.3", ""), CONSUMER)
    await per_user(Message(type="x"), connection("ws.4", ""), CONSUMER)
    per_type = RateLimitMiddleware(
        messages_per_window=1, per=lambda message, connection: f"{connection.user_id}:{message.type}"
    )
    await per_type(Message(type="x"), connection("ws.1"), CONSUMER)
    await per_type(Message(type="y"), connection("ws.1"), CONSUMER)
    with pytest.raises(RateLimitError):
        await per_type(Message(type="y"), connection("ws.2"), CONSUMER)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"messages_per_window": 0}, ValueError),
        ({"window_seconds": -1}, ValueError),
        ({"burst_size": 0}, ValueError),
        ({"excluded_message_types": "ping"}, TypeError),
        ({"per": "moon"}, ValueError),
    ],
)
def test_wrong_options_of_a_rate_limit(options: Any, kind: Any) -> None:
    with pytest.raises(kind):
        RateLimitMiddleware(**options)


# What a limit counts

JUNK: dict[str, dict[str, Any]] = {
    "no JSON": {"json_str": "{"},
    "no object": {"json_str": "[1]"},
    "no type": {"json_str": "{}"},
    "a type that is no text": {"json_str": '{"type": 7}'},
    "an empty type": {"json_str": '{"type": " "}'},
    "a type that is too long": {"json_str": '{"type": "' + "x" * 300 + '"}'},
    "too large for the middleware": {"json_str": '{"type": "x", "data": "' + "y" * 500 + '"}'},
    "too large for the manager": {"binary": b"x" * 2000},
    "a pong without a ping": {"json_str": '{"type": "pong"}'},
    "too old": {"json_str": '{"type": "x", "ttl_seconds": -1}'},
}


def chained(limit: RateLimitMiddleware) -> Any:
    return ValidationMiddleware(max_message_size=400) >> LoggingMiddleware() >> limit


def nested(limit: RateLimitMiddleware) -> Any:
    return ValidationMiddleware(400, LoggingMiddleware(limit))


@pytest.mark.parametrize("stack", [chained, nested])
@pytest.mark.parametrize("junk", JUNK)
async def test_faults_security_small_rate_limit_counts_junk(
    junk: str, stack: Any, make_manager: MakeManager, kind: str
) -> None:
    if kind != "memory":
        pytest.skip("nothing here asks the backend")
    manager = make_manager(WS_MAX_MESSAGE_SIZE=1000)
    alice, peer = await connector(manager)("alice")
    limit = RateLimitMiddleware(messages_per_window=3, window_seconds=60)

    class Quiet(BaseConsumer):
        async def connect(self) -> None: ...
        async def receive(self, message: Message) -> None: ...

    consumer = Quiet(alice, manager, middleware_stack=stack(limit))
    for _ in range(3):
        await consumer.handle_message(**JUNK[junk])
    before = list(peer.unheard)
    assert "RATE_LIMIT_EXCEEDED" not in str(before)
    await consumer.handle_message(json_str='{"type": "x"}')
    while (heard := await peer.hear_json())["error_code"] != "RATE_LIMIT_EXCEEDED":
        pass
    assert 0 < heard["details"]["retry_after"] <= 60


async def test_a_pong_for_each_ping_is_free(make_manager: MakeManager, kind: str) -> None:
    if kind != "memory":
        pytest.skip("nothing here asks the backend")
    manager = make_manager()
    alice, peer = await connector(manager)("alice")

    class Endpoint(BaseConsumer):
        async def connect(self) -> None: ...

        async def receive(self, message: Message) -> None:
            raise AssertionError("a pong goes no further")

    limit = RateLimitMiddleware(messages_per_window=1, window_seconds=60)
    consumer = Endpoint(alice, manager, middleware_stack=chained(limit))
    pings = 3
    for _ in range(pings):  # the client is slow, and answers all of them later
        await manager._periodic.beat()
    for _ in range(pings + 1):  # one is counted
        await consumer.handle_message(json_str='{"type": "pong"}')
    assert [(await peer.hear_json())["type"] for _ in range(pings)] == ["ping"] * pings
    assert peer.unheard == []
    await consumer.handle_message(json_str='{"type": "pong"}')
    assert (await peer.hear_json())["error_code"] == "RATE_LIMIT_EXCEEDED"


def at(address: str | None, user: str, name: str) -> Connection:
    client = None if address is None else (address, 1)
    return Connection(websocket=SimpleNamespace(scope={"client": client}), channel_name=name, user_id=user)


async def test_faults_security_small_rate_limit_of_an_address() -> None:
    limit = RateLimitMiddleware(messages_per_window=2, per="address")
    for number in range(2):
        await limit(Message(type="x"), at("10.0.0.1", f"user{number}", f"ws.{number}"), CONSUMER)
    with pytest.raises(RateLimitError):
        await limit(Message(type="x"), at("10.0.0.1", "another name", "ws.3"), CONSUMER)
    await limit(Message(type="x"), at("10.0.0.2", "user0", "ws.4"), CONSUMER)
    for number in range(2):
        await limit(Message(type="x"), at(f"2001:db8::{number}", "user0", f"ws.6.{number}"), CONSUMER)
    with pytest.raises(RateLimitError):
        await limit(Message(type="x"), at("2001:db8::ffff:1", "user0", "ws.6.3"), CONSUMER)
    for number in range(3):  # no address is known: each connection by itself
        await limit(Message(type="x"), at(None, "user0", f"ws.5.{number}"), CONSUMER)


async def test_faults_security_small_rate_limit_of_nobody_in_particular() -> None:
    limit = RateLimitMiddleware(messages_per_window=1, per="user")
    await limit(Message(type="x"), at("10.0.0.1", "", "ws.1"), CONSUMER)
    with pytest.raises(RateLimitError):
        await limit(Message(type="x"), at("10.0.0.1", "", "ws.2"), CONSUMER)


async def test_faults_security_small_rate_limit_windows_do_not_meet() -> None:
    limit = RateLimitMiddleware(messages_per_window=1, per="user")
    await limit(Message(type="x"), at(None, "bob", "ws.1"), CONSUMER)
    await limit(Message(type="x"), at(None, "", "user:bob"), CONSUMER)  # an id that a client has chosen
    await limit(Message(type="x"), at("bob", "", "ws.1"), CONSUMER)


async def test_faults_security_small_rate_limit_error_and_log_are_short() -> None:
    limit = RateLimitMiddleware(messages_per_window=1, per="user")
    with recorded() as records:
        for _ in range(2):
            with contextlib.suppress(RateLimitError):
                await limit(Message(type="x\n" * 50_000), at(None, "u\n" * 50_000, "ws.1"), CONSUMER)
        with contextlib.suppress(BaseError):
            chain = LoggingMiddleware() >> limit
            await chain(Message(type="x\n" * 50_000), at(None, "u", "1"), CONSUMER)
    assert records.kept and all(len(line) < 1000 and "\n" not in line for line in records.messages())
