"""A page that shows what happens: processes, rates, sockets, groups and people, drops, slow consumers.

    app.mount("/ops/live", compat.live.page(authenticate=compat.live.staff))

It answers for all processes whose layers meet on a Redis, whichever is asked. Who may look can look for a
user, a group or a channel, watch what is sent to a group, and close sockets.
"""

from __future__ import annotations

from compat.layers import DEFAULT_CHANNEL_LAYER
from compat.live.guard import Authenticate, basic, staff
from compat.live.redacting import Rule, redact
from compat.live.serving import Page

__all__ = ["basic", "page", "redact", "staff"]


def page(*, authenticate: Authenticate, redact: Rule = redact, alias: str = DEFAULT_CHANNEL_LAYER) -> Page:
    """Return the page as an ASGI application, to be mounted at any path, with a slash at the end.

    ``authenticate``: takes Starlette's Request and returns the name of who may look, for the audit log
    (``compat.audit``), or None; a function, async or not, that may raise an HTTPException. ``redact``: takes
    a group's name and a message, and returns what of it is shown, or None. ``alias``: the layer whose groups
    can be watched. Raises TypeError if ``authenticate`` is no function: there is no page for everybody.
    """
    return Page(authenticate, redact, alias)
