"""Private methods of ``channels.layers`` that the tests of some projects call or patch.

They do here what they do in Channels; nothing else in this library uses them. Those of channels_redis are in
``redis.upstream_names``.
"""

from __future__ import annotations

import time
from typing import Any

from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox

__all__ = ["PrivateNamesOfMemory"]


class PrivateNamesOfMemory:
    """The private methods of ``InMemoryChannelLayer``, which itself does not need them."""

    def _clean_expired(self: Any) -> None:
        """Remove expired messages, their channels' memberships, and members older than ``group_expiry``.

        A channel that a consumer reads keeps its memberships.
        """
        for channel, box in tuple(self.channels.items()):
            if not isinstance(box, Mailbox):
                continue
            waiting = len(box.events)
            idle = box.idle()  # this also removes the expired messages
            if len(box.events) < waiting:
                self._remove_from_groups(channel)
                if idle:
                    self.channels.pop(channel, None)
        oldest = time.time() - self.group_expiry
        for group, members in tuple(self.groups.items()):
            for channel, joined in tuple(members.items()):
                if joined < oldest and not isinstance(self.channels.get(channel), Inbox):
                    self._leave(group, channel)

    def _remove_from_groups(self: Any, channel: str) -> None:
        """Remove ``channel`` from all groups."""
        box = self.channels.get(channel)
        if isinstance(box, Inbox):
            box.groups.clear()
        for group in [group for group, members in self.groups.items() if channel in members]:
            self._leave(group, channel)
