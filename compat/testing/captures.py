"""Capturing of messages to groups in a test, without a second client.

with capture_group_sends() as sent:
    await client.post("/rooms/lobby", json={"text": "hello"})
assert sent == [("lobby", {"type": "room.said", "text": "hello"})]
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from compat.exceptions import InvalidChannelLayerError
from compat.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer

__all__ = ["GroupSend", "capture_group_sends"]


class GroupSend(NamedTuple):
    """One ``group_send(group, message)``; it equals a tuple of the two."""

    group: str
    message: dict[str, Any]


@contextmanager
def capture_group_sends(
    alias: str = DEFAULT_CHANNEL_LAYER, *, deliver: bool = True
) -> Iterator[list[GroupSend]]:
    """Yield a list to which every ``group_send`` on the layer ``alias`` is added, in order.

    A copy of the message is added before the members receive it, even if the send fails. With
    ``deliver=False`` the members do not receive it. Raises InvalidChannelLayerError if there is no such
    layer.
    """
    layer: Any = get_channel_layer(alias)
    if layer is None:
        raise InvalidChannelLayerError(
            f"capture_group_sends({alias!r}): there is no such layer. Configure one in CHANNEL_LAYERS, or "
            "use the fixture channel_layer"
        )
    sent: list[GroupSend] = []
    real = layer.group_send
    own = vars(layer).get("group_send")  # an attribute of the instance, if it has been set before

    async def group_send(group: str, message: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        sent.append(GroupSend(group, copy.deepcopy(message)))
        return await real(group, message, *args, **kwargs) if deliver else None

    layer.group_send = group_send
    try:
        yield sent
    finally:
        if own is None:
            del layer.group_send
        else:
            layer.group_send = own
