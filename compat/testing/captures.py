"""What was sent to groups, seen where it is sent: no second client, and no waiting for one.

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
    """One ``group_send(group, message)``; equal to a plain pair of the two."""

    group: str
    message: dict[str, Any]


@contextmanager
def capture_group_sends(
    alias: str = DEFAULT_CHANNEL_LAYER, *, deliver: bool = True
) -> Iterator[list[GroupSend]]:
    """The list that every ``group_send`` on the layer ``alias`` is added to, in order, inside the block.

    A send is in the list before its members get it, as it was at that moment; one that fails is in it too.
    ``deliver=False`` keeps the messages from the members. Raises InvalidChannelLayerError without the layer.
    """
    layer: Any = get_channel_layer(alias)
    if layer is None:
        raise InvalidChannelLayerError(
            f"capture_group_sends({alias!r}): there is no such layer. Configure one in CHANNEL_LAYERS, or "
            "ask for the fixture channel_layer"
        )
    sent: list[GroupSend] = []
    real = layer.group_send
    own = vars(layer).get("group_send")  # of the instance, where somebody has put one before

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
