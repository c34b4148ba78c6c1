"""The manager's connections to this process, for ``compat.live``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from compat.engine.roster import OpenSocket, report_sockets
from compat.manager import current
from compat.manager.backends.messaging import name_in_layer

__all__ = ["open_sockets"]

KIND = "compat.manager"
"""What is told in place of a consumer's class."""


def open_sockets() -> Iterator[OpenSocket]:
    """Yield the connections of the current manager; none if there is no manager."""
    manager = current.current()
    if manager is None:
        return
    for one in manager.registry.get_all():
        yield OpenSocket(
            one.address,
            KIND,
            str(one.websocket.scope.get("path", "")),
            str(one.user_id or ""),
            [name_in_layer(group) for group in tuple(one.groups)],
            0 if one.outbox is None else len(one.outbox),
            False,
            partial(manager.disconnect, one),
        )


report_sockets(open_sockets)
