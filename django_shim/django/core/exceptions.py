"""The exceptions that views, settings and middleware raise."""

from __future__ import annotations

from compat.exceptions import ImproperlyConfigured

__all__ = [
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
    "ViewDoesNotExist",
]


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
