"""The constants of the wire format, under Chanx' names."""

from __future__ import annotations

from compat.names import MAX_NAME_LENGTH
from compat.typed.authenticator import CLOSE_UNAUTHENTICATED
from compat.typed.conversation import COMPLETE_ACTIONS
from compat.typed.envelope import ENVELOPE_FIELDS, ENVELOPE_VERSION

__all__ = [
    "CHANX_ACTIONS",
    "CLOSE_UNAUTHENTICATED",
    "COMPLETE_ACTIONS",
    "ENVELOPE_FIELDS",
    "ENVELOPE_VERSION",
    "EVENT_ACTION_COMPLETE",
    "GROUP_ACTION_COMPLETE",
    "MAX_GROUP_NAME_LENGTH",
    "MESSAGE_ACTION_COMPLETE",
]

MESSAGE_ACTION_COMPLETE = "complete"
EVENT_ACTION_COMPLETE = "event_complete"
GROUP_ACTION_COMPLETE = "group_complete"
CHANX_ACTIONS = COMPLETE_ACTIONS | {"error"}
MAX_GROUP_NAME_LENGTH = MAX_NAME_LENGTH - 1
