"""The errors of the manager, each with its code, severity, close code and HTTP status.

::

    BaseError                UNKNOWN_ERROR           medium   1011   500
    ├── ConnectionError      CONNECTION_ERROR        high     1011   503   limits 1013, ends the connection
    ├── WebSocketError       WEBSOCKET_ERROR         medium   1011   500   ends the connection
    ├── AuthenticationError  AUTHENTICATION_FAILED   medium   1008   401   ends the connection
    ├── AuthorizationError   AUTHORIZATION_FAILED    medium   1008   403
    ├── ValidationError      VALIDATION_FAILED       low      1003   400
    ├── RateLimitError       RATE_LIMIT_EXCEEDED     low      1008   429   retryable
    ├── MessageError         MESSAGE_ERROR           medium   1003   400
    ├── BackendError         BACKEND_ERROR           high     1011   503
    ├── TimeoutError         TIMEOUT_ERROR           medium   1011   504   retryable
    └── SystemError          SYSTEM_ERROR            high     1011   500

The first number is the close code; the second is the HTTP status for an app with ``add_exception_handlers``.
``connect()`` raises ConnectionError with 1013 for limits and for a backend that is away, and with 1008 for an
Origin that is not allowed. A critical error of any class ends the connection. Three names are also names of
Python's built-in errors: a star import brings them only as ``WSConnectionError``, ``WSSystemError`` and
``WSTimeoutError``.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from starlette.exceptions import WebSocketException

from compat.codes import may_be_sent

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "BackendError",
    "BaseError",
    "ErrorCategory",
    "ErrorContext",
    "ErrorResponse",
    "ErrorSeverity",
    "MessageError",
    "RateLimitError",
    "ValidationError",
    "WSConnectionError",
    "WSSystemError",
    "WSTimeoutError",
    "WebSocketError",
    "create_error_context",
]

REASON_BYTES = 123
"""The longest reason in bytes that a close frame can carry (RFC 6455, 5.5)."""


class ErrorCategory(Enum):
    """Which part of the system an error is about."""

    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    VALIDATION = "validation"
    RATE_LIMIT = "rate_limit"
    CONNECTION = "connection"
    BACKEND = "backend"
    MESSAGE = "message"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class ErrorSeverity(Enum):
    """How bad an error is; errors of high and critical severity are logged."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass
class ErrorContext:
    """Where an error happened; ``timestamp`` is in seconds of the wall clock."""

    error_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    timestamp: float = field(default_factory=time.time)
    user_id: str | None = None
    connection_id: str | None = None
    message_type: str | None = None
    component: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def create_error_context(
    user_id: str | None = None,
    connection_id: str | None = None,
    message_type: str | None = None,
    component: str | None = None,
    **metadata: Any,
) -> ErrorContext:
    """Return a context with a new id and the current time; other keyword arguments become its metadata."""
    return ErrorContext(
        user_id=user_id,
        connection_id=connection_id,
        message_type=message_type,
        component=component,
        metadata=metadata,
    )


@dataclass
class ErrorResponse:
    """What a client learns about an error; ``to_dict()`` is the frame, which omits most of the context."""

    error_code: str
    message: str
    category: ErrorCategory
    severity: ErrorSeverity
    context: ErrorContext
    details: dict[str, Any] | None = None
    retryable: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"type": "error", "error_code", "message", "category", "severity", "error_id", …}``."""
        return {
            "type": "error",
            "error_code": self.error_code,
            "message": self.message,
            "category": self.category.value,
            "severity": self.severity.value,
            "error_id": self.context.error_id,
            "timestamp": self.context.timestamp,
            "retryable": self.retryable,
            "details": self.details or {},
        }


class BaseError(Exception):
    """Base of the manager's errors; the class attributes of a subclass are the defaults.

    ``details`` are sent to the client, ``context`` is not. ``ws_code`` is the close code if the error ends
    the connection; a code that must not be sent, such as 1006, raises ValueError.
    """

    error_code: str = "UNKNOWN_ERROR"
    category: ErrorCategory = ErrorCategory.UNKNOWN
    severity: ErrorSeverity = ErrorSeverity.MEDIUM
    retryable: bool = False
    ws_code: int = 1011
    http_status: int = 500
    """The status of an HTTP response, for an app with ``add_exception_handlers``."""
    disconnects: bool = False
    """Whether errors of this class end the connection."""
    default_message: str = "An error occurred"

    def __init__(
        self,
        message: str | None = None,
        error_code: str | None = None,
        category: ErrorCategory | None = None,
        severity: ErrorSeverity | None = None,
        context: ErrorContext | None = None,
        details: dict[str, Any] | None = None,
        retryable: bool | None = None,
        cause: BaseException | None = None,
        ws_code: int | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        super().__init__(self.message)
        given = {"error_code": error_code, "category": category, "severity": severity, "retryable": retryable}
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        self.context = context or ErrorContext()
        self.details: dict[str, Any] = details or {}
        self.cause = cause
        if cause is not None:
            self.__cause__ = cause
        if ws_code is not None:
            self.ws_code = _sendable(ws_code)

    def __str__(self) -> str:
        return self.message

    def should_disconnect(self) -> bool:
        """Return True if this error ends the connection."""
        return self.disconnects or self.severity is ErrorSeverity.CRITICAL

    def to_response(self) -> ErrorResponse:
        """Return what the client is told."""
        return ErrorResponse(
            error_code=self.error_code,
            message=self.message,
            category=self.category,
            severity=self.severity,
            context=self.context,
            details=self.details,
            retryable=self.retryable,
        )


class ConnectionError(BaseError, WebSocketException):
    """A connection cannot be made, or cannot go on.

    This is also a WebSocketException of Starlette: if an endpoint raises it before the handshake is answered,
    the client is refused (HTTP 403) without a traceback.
    """

    error_code = "CONNECTION_ERROR"
    http_status = 503
    category = ErrorCategory.CONNECTION
    severity = ErrorSeverity.HIGH
    disconnects = True
    default_message = "The connection failed"

    def __init__(self, message: str | None = None, *args: Any, **kwargs: Any) -> None:
        BaseError.__init__(self, message, *args, **kwargs)
        self.code = self.ws_code
        self.reason = self.message.encode()[:REASON_BYTES].decode(errors="ignore")


class WebSocketError(BaseError):
    """The websocket itself failed."""

    error_code = "WEBSOCKET_ERROR"
    category = ErrorCategory.SYSTEM
    disconnects = True


class MessageError(BaseError):
    """A message could not be handled."""

    error_code = "MESSAGE_ERROR"
    http_status = 400
    category = ErrorCategory.MESSAGE
    ws_code = 1003
    default_message = "The message could not be handled"


class BackendError(BaseError):
    """The channel layer or the registry could not be used; ``cause`` is the original error.

    With a cause, the message says where Redis is and what to do. That is not for clients, who get
    ``default_message`` instead.
    """

    error_code = "BACKEND_ERROR"
    http_status = 503
    category = ErrorCategory.BACKEND
    severity = ErrorSeverity.HIGH
    default_message = "The message backend is not available"

    def to_response(self) -> ErrorResponse:
        response = super().to_response()
        if self.cause is not None:
            response.message = self.default_message
        return response


class AuthenticationError(BaseError):
    """The client is not authenticated."""

    error_code = "AUTHENTICATION_FAILED"
    http_status = 401
    category = ErrorCategory.AUTHENTICATION
    ws_code = 1008
    disconnects = True
    default_message = "Authentication required"


class AuthorizationError(BaseError):
    """The client may not do this."""

    error_code = "AUTHORIZATION_FAILED"
    http_status = 403
    category = ErrorCategory.AUTHORIZATION
    ws_code = 1008
    default_message = "Insufficient permissions"


class ValidationError(BaseError):
    """The client's message is not valid."""

    error_code = "VALIDATION_FAILED"
    http_status = 400
    category = ErrorCategory.VALIDATION
    severity = ErrorSeverity.LOW
    ws_code = 1003
    default_message = "The message is not valid"


class RateLimitError(BaseError):
    """Too many messages; ``details["retry_after"]`` is in seconds."""

    error_code = "RATE_LIMIT_EXCEEDED"
    http_status = 429
    category = ErrorCategory.RATE_LIMIT
    severity = ErrorSeverity.LOW
    retryable = True
    ws_code = 1008
    default_message = "Rate limit exceeded"


class SystemError(BaseError):
    """Something on the server's side failed, or is at its limit."""

    error_code = "SYSTEM_ERROR"
    category = ErrorCategory.SYSTEM
    severity = ErrorSeverity.HIGH
    default_message = "The server failed"


class TimeoutError(BaseError):
    """Something took too long."""

    error_code = "TIMEOUT_ERROR"
    http_status = 504
    category = ErrorCategory.SYSTEM
    retryable = True
    default_message = "Operation timed out"


WSConnectionError = ConnectionError
WSSystemError = SystemError
WSTimeoutError = TimeoutError


def _sendable(code: int) -> int:
    if not may_be_sent(code):
        raise ValueError(
            f"ws_code={code}: not a close code that may be sent; use 1000 to 1003, 1007 to 1014, or one of "
            "your own from 4000 to 4999"
        )
    return code
