"""Presence: who is in a group, on any layer."""

from compat.layers.presence.people import Presence
from compat.layers.presence.rules import PresenceRule, PresenceRules

__all__ = ["Presence", "PresenceRule", "PresenceRules"]
