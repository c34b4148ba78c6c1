"""The errors of a Redis that cannot be used: each is LayerUnavailable, and the error of redis-py that the
real channels_redis would raise, for code that catches that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.exceptions import AuthenticationError as DriverAuthenticationError
from redis.exceptions import BusyLoadingError as DriverBusyLoadingError
from redis.exceptions import ConnectionError as DriverConnectionError
from redis.exceptions import NoPermissionError as DriverNoPermissionError
from redis.exceptions import OutOfMemoryError as DriverOutOfMemoryError
from redis.exceptions import ReadOnlyError as DriverReadOnlyError
from redis.exceptions import ResponseError as DriverResponseError
from redis.exceptions import TimeoutError as DriverTimeoutError

from compat.exceptions import LayerUnavailable

__all__ = [
    "Redirected",
    "RedisLoading",
    "RedisLoginRefused",
    "RedisNotConnected",
    "RedisOutOfMemory",
    "RedisPermissionDenied",
    "RedisReadOnly",
    "RedisRefused",
    "RedisTimedOut",
    "RedisUnavailable",
]


class RedisUnavailable(LayerUnavailable):
    """LayerUnavailable with a separate ``reason``; what is raised is one of the classes below.

    ``report()`` makes the layer log the outage once, and later its end.
    """

    def __init__(
        self, text: str, reason: str, report: Callable[[RedisUnavailable], None] | None = None
    ) -> None:
        super().__init__(text)
        for base in type(self).__bases__[1:]:  # what redis-py 8 notes in its errors, such as error_type
            base.__init__(self, text)  # type: ignore[misc]
        self.reason = reason
        self._report = report

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"  # redis-py's own shows no text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), str(self.reason))

    def report(self) -> None:
        if self._report is not None:
            self._report(self)


class RedisNotConnected(RedisUnavailable, DriverConnectionError):
    """There is no connection, or it has ended."""


class RedisLoginRefused(RedisUnavailable, DriverAuthenticationError):
    """The user or the password is wrong."""


class RedisLoading(RedisUnavailable, DriverBusyLoadingError):
    """It still reads its data."""


class RedisTimedOut(RedisUnavailable, DriverTimeoutError):
    """An answer has not come in time."""


class RedisRefused(RedisUnavailable, DriverResponseError):
    """It has answered with an error."""


class RedisOutOfMemory(RedisUnavailable, DriverOutOfMemoryError):
    """It has no memory left for what is sent."""


class RedisReadOnly(RedisUnavailable, DriverReadOnlyError):
    """It is a replica."""


class RedisPermissionDenied(RedisUnavailable, DriverNoPermissionError):
    """Its ACL does not allow a command or a key."""


class Redirected(RedisNotConnected):
    """A node of a cluster has not carried out a command, because of who has the slot."""
