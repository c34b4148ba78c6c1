"""The exceptions that views, settings and middleware raise."""

from __future__ import annotations

from typing import Any

from compat.exceptions import ImproperlyConfigured

from ..unserved import NOT_A_PACKAGE, attribute_of

__all__ = [
    "NON_FIELD_ERRORS",
    "AppRegistryNotReady",
    "BadRequest",
    "DisallowedHost",
    "DisallowedRedirect",
    "ImproperlyConfigured",
    "MiddlewareNotUsed",
    "MultipleObjectsReturned",
    "ObjectDoesNotExist",
    "PermissionDenied",
    "RequestAborted",
    "RequestDataTooBig",
    "SuspiciousFileOperation",
    "SuspiciousOperation",
    "SynchronousOnlyOperation",
    "TooManyFieldsSent",
    "TooManyFilesSent",
    "ValidationError",
    "ViewDoesNotExist",
]

NON_FIELD_ERRORS = "__all__"

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class AppRegistryNotReady(Exception):
    """``django.setup()`` has not run yet."""


class ObjectDoesNotExist(Exception):
    """An object that was asked for is not there."""

    silent_variable_failure = True


class MultipleObjectsReturned(Exception):
    """One object was asked for, and there are several."""


class SuspiciousOperation(Exception):
    """The client did something that no honest client does: 400."""


class SuspiciousFileOperation(SuspiciousOperation):
    """A file name that leads out of its folder."""


class DisallowedHost(SuspiciousOperation):
    """A Host header that ALLOWED_HOSTS does not list."""


class DisallowedRedirect(SuspiciousOperation):
    """A redirect to a scheme that is not allowed."""


class TooManyFieldsSent(SuspiciousOperation):
    """More fields than DATA_UPLOAD_MAX_NUMBER_FIELDS."""


class TooManyFilesSent(SuspiciousOperation):
    """More files than DATA_UPLOAD_MAX_NUMBER_FILES."""


class RequestDataTooBig(SuspiciousOperation):
    """A body larger than DATA_UPLOAD_MAX_MEMORY_SIZE."""


class RequestAborted(Exception):
    """The client left before its request was complete."""


class BadRequest(Exception):
    """The request makes no sense: 400."""


class PermissionDenied(Exception):
    """The client may not do that: 403."""


class ViewDoesNotExist(Exception):
    """A view named by a string is not there."""


class MiddlewareNotUsed(Exception):
    """Raised by a middleware's constructor: leave it out."""


class SynchronousOnlyOperation(Exception):
    """Blocking code was called on the event loop."""


class ValidationError(Exception):
    """Data is not valid. ``message`` is a text, a list of errors, or a dict of them by field.

    ``messages`` is always a list of texts; ``message_dict`` exists for a dict.
    """

    error_list: list[ValidationError]
    error_dict: dict[str, list[ValidationError]]
    message: Any

    def __init__(self, message: Any, code: str | None = None, params: Any = None) -> None:
        super().__init__(message, code, params)
        self.code, self.params = code, params
        if isinstance(message, dict):
            self.error_dict = {field: _as_error(one).error_list for field, one in message.items()}
        elif isinstance(message, list):
            self.error_list = [error for one in message for error in _as_error(one).error_list]
        elif isinstance(message, ValidationError):
            vars(self).update(vars(message))
        else:
            self.message = message
            self.error_list = [self]

    @property
    def messages(self) -> list[str]:
        """Every message, in order."""
        if hasattr(self, "error_dict"):
            return [text for texts in self.message_dict.values() for text in texts]
        return [
            str(error.message % error.params if error.params else error.message) for error in self.error_list
        ]

    @property
    def message_dict(self) -> dict[str, list[str]]:
        """The messages by field."""
        return {field: ValidationError(errors).messages for field, errors in self.error_dict.items()}

    def __iter__(self) -> Any:
        return iter(self.message_dict.items() if hasattr(self, "error_dict") else self.messages)

    def __str__(self) -> str:
        return repr(self.message_dict if hasattr(self, "error_dict") else self.messages)

    def __repr__(self) -> str:
        return f"ValidationError({self})"


def _as_error(value: Any) -> ValidationError:
    return value if isinstance(value, ValidationError) else ValidationError(value)
