"""Where the messages of a session are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...conf import settings
from ...utils.safestring import SafeData, mark_safe
from .constants import DEFAULT_TAGS

__all__ = ["Message", "Storage"]


SESSION_KEY = "_messages"


class Message:
    """A level, a text, and tags for CSS."""

    def __init__(self, level: int, message: Any, extra_tags: str | None = None) -> None:
        self.level = int(level)
        self.message = message
        self.extra_tags = extra_tags

    def __str__(self) -> str:
        return str(self.message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.level, self.message) == (other.level, other.message)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    @property
    def level_tag(self) -> str:
        """The class of its level."""
        return str({**DEFAULT_TAGS, **settings.MESSAGE_TAGS}.get(self.level, ""))

    @property
    def tags(self) -> str:
        """All its classes."""
        return " ".join(tag for tag in (self.extra_tags, self.level_tag) if tag)


class Storage:
    """The messages of one request's session; those that were gone through are there until it ends."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.level: int = settings.MESSAGE_LEVEL
        self._used: list[Message] = []

    def __len__(self) -> int:
        return len(self._used) + len(self.session.get(SESSION_KEY, ()))

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Message]:
        # Sessions saved by an earlier version do not say whether the text is safe.
        for level, text, extra_tags, *safe in self.session.pop(SESSION_KEY, ()):
            self._used.append(Message(level, mark_safe(text) if any(safe) else text, extra_tags))
        return iter(self._used)

    def add(self, level: int, message: Any, extra_tags: str | None = "") -> None:
        """Keep a message, unless it is below the level."""
        if message and int(level) >= self.level:
            self.session[SESSION_KEY] = [
                *self.session.get(SESSION_KEY, ()),
                [int(level), str(message), extra_tags, isinstance(message, SafeData)],
            ]
