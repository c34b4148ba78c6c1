"""Errors, messages, serializers, batches and retries: the parts that need no connection."""

from __future__ import annotations

import asyncio
import builtins
import math
import pickle
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.exceptions import WebSocketException

from compat.manager import exceptions
from compat.manager.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BackendError,
    BaseError,
    ConnectionError,
    ErrorCategory,
    ErrorContext,
    ErrorSeverity,
    MessageError,
    RateLimitError,
    SystemError,
    TimeoutError,
    ValidationError,
    WebSocketError,
    create_error_context,
)
from compat.manager.serializers import (
    BaseSerializer,
    JSONSerializer,
    MsgpackSerializer,
    ORJSONSerializer,
    PickleSerializer,
)
from compat.manager.serializers.pickle_serializer import PickleWarning
from compat.manager.typed import ConnectionState, Message, MessagePriority
from compat.manager.utils import (
    BatchProcessor,
    Semaphore,
    batch_items,
    process_in_batches,
    run_with_concurrency_limit,
    with_retry,
)
from compat.redis.backoff import Backoff

# Errors

TABLE: list[tuple[type[BaseError], str, str, str, bool, int, bool]] = [
    (ConnectionError, "CONNECTION_ERROR", "connection", "high", False, 1011, True),
    (WebSocketError, "WEBSOCKET_ERROR", "system", "medium", False, 1011, True),
    (MessageError, "MESSAGE_ERROR", "message", "medium", False, 1003, False),
    (BackendError, "BACKEND_ERROR", "backend", "high", False, 1011, False),
    (AuthenticationError, "AUTHENTICATION_FAILED", "authentication", "medium", False, 1008, True),
    (AuthorizationError, "AUTHORIZATION_FAILED", "authorization", "medium", False, 1008, False),
    (ValidationError, "VALIDATION_FAILED", "validation", "low", False, 1003, False),
    (RateLimitError, "RATE_LIMIT_EXCEEDED", "rate_limit", "low", True, 1008, False),
    (SystemError, "SYSTEM_ERROR", "system", "high", False, 1011, False),
    (TimeoutError, "TIMEOUT_ERROR", "system", "medium", True, 1011, False),
    (BaseError, "UNKNOWN_ERROR", "unknown", "medium", False, 1011, False),
]


@pytest.mark.parametrize(
    ("kind", "code", "category", "severity", "retryable", "ws_code", "disconnects"), TABLE
)
def test_what_each_error_is(
    kind: Any, code: str, category: str, severity: str, retryable: bool, ws_code: int, disconnects: bool
) -> None:
    error = kind("what happened")
    assert isinstance(error, BaseError) and str(error) == "what happened" == error.message
    assert (error.error_code, error.category.value, error.severity.value) == (code, category, severity)
    assert (error.retryable, error.ws_code, error.should_disconnect()) == (retryable, ws_code, disconnects)
    assert error.details == {} and error.cause is None and error.context.error_id
    assert kind().message  # each has something to say by itself
    assert kind("x", severity=ErrorSeverity.CRITICAL).should_disconnect()


def test_what_is_given_wins() -> None:
    cause = KeyError("x")
    error = MessageError(
        "no",
        "MY_CODE",
        category=ErrorCategory.SYSTEM,
        severity=ErrorSeverity.LOW,
        context=create_error_context("alice", "ws.1", "note", "test", room="lobby"),
        details={"n": 1},
        retryable=True,
        cause=cause,
        ws_code=4001,
    )
    assert (error.error_code, error.category, error.severity) == (
        "MY_CODE",
        ErrorCategory.SYSTEM,
        ErrorSeverity.LOW,
    )
    assert error.__cause__ is cause is error.cause and error.ws_code == 4001
    context = error.context.to_dict()
    assert context.pop("error_id") and context.pop("timestamp") > 0
    assert context == {
        "user_id": "alice",
        "connection_id": "ws.1",
        "message_type": "note",
        "component": "test",
        "metadata": {"room": "lobby"},
    }


def test_what_a_client_is_told() -> None:
    context = ErrorContext(error_id="id", timestamp=1.0, user_id="alice")
    told = RateLimitError(details={"retry_after": 2.5}, context=context).to_response().to_dict()
    assert told == {
        "type": "error",
        "error_code": "RATE_LIMIT_EXCEEDED",
        "message": "Rate limit exceeded",
        "category": "rate_limit",
        "severity": "low",
        "error_id": "id",
        "timestamp": 1.0,
        "retryable": True,
        "details": {"retry_after": 2.5},
    }


def test_where_redis_is_is_no_business_of_clients() -> None:
    error = BackendError("cannot use Redis at 10.0.0.7:6379", cause=OSError("refused"))
    assert "10.0.0.7" in str(error)
    assert error.to_response().message == "The message backend is not available"
    assert BackendError("Come back later").to_response().message == "Come back later"


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 5000])
def test_codes_that_must_not_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match="not a close code that may be sent"):
        MessageError("x", ws_code=code)


def test_a_refused_connection_is_starlettes_to_close() -> None:
    error = ConnectionError("é" * 200, ws_code=1013)
    assert isinstance(error, WebSocketException)
    assert error.code == 1013 and len(error.reason.encode()) <= 123 and error.reason.startswith("é")


def test_pythons_own_names_stay_its_own() -> None:
    namespace: dict[str, Any] = {}
    exec("from compat.manager.exceptions import *", namespace)
    for name in ("ConnectionError", "SystemError", "TimeoutError"):
        assert name not in namespace and getattr(exceptions, name) is not getattr(builtins, name)
    assert namespace["WSTimeoutError"] is TimeoutError and namespace["BaseError"] is BaseError


def test_errors_of_ones_own() -> None:
    class Banned(BaseError):
        error_code = "BANNED"
        ws_code = 4003
        disconnects = True

    assert (
        Banned().should_disconnect()
        and Banned().ws_code == 4003
        and Banned().to_response().error_code == "BANNED"
    )


# Messages


def test_a_message_and_back() -> None:
    message = Message("note", {"a": 1}, "ws.1", "room", {"m": 1}, MessagePriority.LOW, 5.0, 1.0)
    assert Message.from_dict(message.to_dict()) == message
    binary = Message(type="file", binary_data=b"\x00\xff")
    assert binary.to_dict()["binary_data"] == "AP8=" and Message.from_dict(binary.to_dict()) == binary
    assert "binary_data" not in message.to_dict() and "size" not in message.to_dict()
    sparse = Message.from_dict({"priority": "silly"})
    assert sparse.type == "message" and sparse.priority is MessagePriority.NORMAL and sparse.created_at > 0
    assert Message("x", None).data is None
    with pytest.raises(ValueError, match="not both"):
        Message(type="x", data=1, binary_data=b"")


def test_a_message_ends() -> None:
    assert not Message("x", ttl_seconds=60).is_expired() and not Message("x", created_at=0).is_expired()
    assert Message("x", ttl_seconds=1, created_at=0).is_expired()
    assert [state.value for state in ConnectionState] == [
        "connecting",
        "connected",
        "disconnecting",
        "disconnected",
    ]


# Serializers


@pytest.mark.parametrize("make", [JSONSerializer, ORJSONSerializer, MsgpackSerializer])
def test_a_round_trip(make: type[BaseSerializer]) -> None:
    serializer = make()
    value = {"a": [1, 2.5, None, True, "é"], "b": {"c": {}}}
    assert serializer.loads(serializer.dumps(value)) == value
    if serializer.binary:
        return
    assert serializer.text({"é": 1}) == '{"é":1}' and serializer.loads('{"a":1}') == {"a": 1}


def test_json_is_json_that_browsers_read() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSONSerializer().dumps({"a": math.nan})
    assert ORJSONSerializer().dumps({"a": math.nan}) == b'{"a":null}'


def test_pickles_are_signed_and_warned_of() -> None:
    with pytest.warns(PickleWarning, match="can run code"):
        serializer = PickleSerializer("a secret of enough bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PickleWarning)
        other = PickleSerializer(b"another secret of enough bytes")
    value = {"when": (1, 2), "who": {"x"}}
    data = serializer.dumps(value)
    assert serializer.loads(data) == value
    tampered = data[:-2] + b"x."
    for wrong in (tampered, b"", pickle.dumps(value), other.dumps(value)):
        with pytest.raises(ValueError, match="not unpickled"):
            serializer.loads(wrong)
    with pytest.raises(ValueError, match="bytes, not text"):
        serializer.loads("x")


@pytest.mark.parametrize("secret", ["", "short", b"x" * 15])
def test_a_secret_must_be_one(secret: Any) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        PickleSerializer(secret)


# Batches


def test_batches() -> None:
    assert list(batch_items(range(5), 2)) == [(0, 1), (2, 3), (4,)] and list(batch_items([], 2)) == []
    with pytest.raises(ValueError, match="1 of 2"):
        list(batch_items(range(3), 2, strict=True))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="1 or more"):
            list(batch_items([1], wrong))
        with pytest.raises(ValueError, match="1 or more"):
            Semaphore(wrong)


class Crowd:
    """Jobs that know how many of them run at a time."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def job(self, item: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(3):
            await asyncio.sleep(0)
        self.running -= 1
        if item < 0:
            raise KeyError(item)
        return item * 2


async def test_so_many_at_a_time() -> None:
    crowd = Crowd()
    assert await run_with_concurrency_limit((crowd.job(n) for n in range(20)), 3) == [
        2 * n for n in range(20)
    ]
    assert crowd.most == 3
    assert await run_with_concurrency_limit([], 3) == []
    results = await run_with_concurrency_limit([crowd.job(1), crowd.job(-1), crowd.job(2)], 2)
    assert results[0] == 2 and isinstance(results[1], KeyError) and results[2] == 4


async def test_the_first_error_ends_it_where_that_is_asked_for() -> None:
    crowd, begun = Crowd(), []

    async def job(item: int) -> int:
        begun.append(item)
        return await crowd.job(item)

    with pytest.raises(KeyError):
        await run_with_concurrency_limit([job(-1), *(job(n) for n in range(50))], 2, return_exceptions=False)
    assert len(begun) < 10  # and no warning of coroutines that were never awaited


async def test_processing_in_batches() -> None:
    crowd = Crowd()
    assert await process_in_batches(range(10), crowd.job, batch_size=4, max_concurrent=2) == [
        2 * n for n in range(10)
    ]
    assert crowd.most == 2


async def test_a_batch_processor() -> None:
    seen: list[Any] = []

    async def done(number: int, of: int) -> None:
        seen.append((number, of))

    async def failed(item: int, error: Exception) -> None:
        seen.append((item, type(error).__name__))

    processor = BatchProcessor(Crowd().job, 2, 2, done, failed)
    assert await processor.process([1, -2, 3]) == [2, None, 6]
    assert (processor.processed_count, processor.error_count) == (2, 1)
    assert seen == [(-2, "KeyError"), (1, 2), (2, 2)]

    async def stream() -> AsyncIterator[list[int]]:
        yield [1, 2]
        yield [3]

    assert [batch async for batch in processor.process_stream(stream())] == [[2, 4], [6]]
    strict = BatchProcessor(Crowd().job, continue_on_error=False)
    with pytest.raises(KeyError):
        await strict.process([-1])


# Retries


def test_pauses_grow_to_a_bound() -> None:
    backoff = Backoff(1, 5, jitter=False)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert all(0.5 <= Backoff(1, 5).next_s() <= 1 for _ in range(50))


async def test_trying_again(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    @with_retry(max_retries=3, base_delay=0.001, exceptions=(KeyError,))
    async def flaky(until: int) -> str:
        """Its own words."""
        calls.append(1)
        if len(calls) < until:
            raise KeyError(len(calls))
        return "done"

    @with_retry(max_retries=2, base_delay=0.001)
    def blocking() -> None:
        calls.append(1)
        raise KeyError("never")

    assert await flaky(3) == "done" and len(calls) == 3 and flaky.__doc__ == "Its own words."
    calls.clear()
    with pytest.raises(KeyError):
        await flaky(100)
    assert len(calls) == 4
    calls.clear()
    caplog.clear()
    with pytest.raises(KeyError):
        blocking()
    assert len(calls) == 3
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]


async def test_other_errors_are_not_tried_again() -> None:
    calls: list[int] = []

    @with_retry(exceptions=(KeyError,))
    async def wrong() -> None:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):
        await wrong()
    assert len(calls) == 1
