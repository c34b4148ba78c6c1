"""``Http404``, apart from the responses, so that URL patterns need not load them."""

from __future__ import annotations

__all__ = ["Http404"]


class Http404(Exception):
    """Raised by a view (and when no pattern matches): the client gets the 404 page."""
