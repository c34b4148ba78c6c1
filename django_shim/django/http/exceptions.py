"""What views raise, and what reading a request raises; apart, so that URL patterns need not load more."""

from __future__ import annotations

__all__ = ["Http404", "RawPostDataException", "UnreadablePostError"]


class Http404(Exception):
    """Raised by a view (and when no pattern matches): the client gets the 404 page."""


class UnreadablePostError(OSError):
    """The body could not be read to its end."""


class RawPostDataException(Exception):
    """The body has been read as a stream already."""
