"""``{% load channels_history %}``: a ticket for the socket of a page, for templates of Django."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

from compat.exceptions import ImproperlyConfigured
from compat.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer

__all__ = ["channels_ticket", "register"]

register = template.Library()


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def channels_ticket(context: Mapping[str, Any], *groups: str, alias: str = DEFAULT_CHANNEL_LAYER) -> str:
    """Return a ticket for a page: its socket gets what ``groups`` have had since the page was rendered.

    The user is that of ``request``, which the context processor of that name puts into templates. Raises
    ImproperlyConfigured if a group has no history.
    """
    layer = get_channel_layer(alias)
    if layer is None:
        raise ImproperlyConfigured(f"channels_ticket: there is no channel layer {alias!r} in CHANNEL_LAYERS")
    ticket: str = layer.ticket_sync(groups, getattr(context.get("request"), "user", None))
    return ticket
