"""Which groups track who is in them: the option ``presence`` of a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from compat.layers.options import check_options
from compat.layers.patterns import Patterns

__all__ = ["PresenceRule", "PresenceRules"]


@dataclasses.dataclass(frozen=True)
class PresenceRule:
    """How the members of a group are tracked."""

    key: str | Callable[[Any], Any] = "user"
    """Who a connection is: "user" for ``scope["user"]``, "channel" for each connection by itself, or a
    function of the scope. Who has no key, such as an anonymous user, is not tracked.
    """
    meta: Callable[[Any], Mapping[str, Any]] | None = None
    """A function of the scope: what is told of a connection."""
    public: bool = False
    """Pages whose consumers are in the group may watch it (``socket.presence(group)``)."""

    def who(self, scope: Any, channel: str) -> Any:
        """Return the key of a connection; None: it is not tracked."""
        if callable(self.key):
            return self.key(scope)
        if self.key == "channel":
            return channel
        user = scope.get("user")
        if user is None or not getattr(user, "is_authenticated", True):
            return None
        return user

    def told(self, scope: Any) -> Mapping[str, Any] | None:
        """Return what is told of a connection."""
        return None if self.meta is None else self.meta(scope)


FIELDS = tuple(field.name for field in dataclasses.fields(PresenceRule))


class PresenceRules(Patterns[PresenceRule]):
    """The option ``presence`` of a layer: ``{pattern: {"key", "meta", "public"}}``.

    Raises TypeError and ValueError.
    """

    def __init__(self, given: Mapping[Any, Any] | None) -> None:
        super().__init__("presence", "{'chat_*': {'key': 'user'}}", given, _rule)


def _rule(pattern: Any, given: Any) -> PresenceRule:
    where = f"presence[{pattern!r}]"
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} must be a dict with 'key', 'meta' or 'public', not {given!r}")
    check_options(where, {str(name): value for name, value in given.items()}, FIELDS)
    rule = PresenceRule(**given)
    if not callable(rule.key) and rule.key not in ("user", "channel"):
        raise ValueError(
            f"{where}['key'] must be 'user', 'channel' or a function of the scope, not {rule.key!r}"
        )
    if rule.meta is not None and not callable(rule.meta):
        raise ValueError(f"{where}['meta'] must be a function of the scope, not {rule.meta!r}")
    if not isinstance(rule.public, bool):
        raise ValueError(f"{where}['public'] must be True or False, not {rule.public!r}")
    return rule
