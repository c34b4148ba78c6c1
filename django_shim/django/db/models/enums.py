"""``TextChoices`` and ``IntegerChoices``: enumerations with labels, which need no database."""

from __future__ import annotations

import enum
from typing import Any

__all__ = ["Choices", "ChoicesType", "IntegerChoices", "TextChoices"]


class ChoicesType(enum.EnumMeta):
    """Takes the label off the value: ``OPEN = "o", "Open"``."""

    do_not_call_in_templates = True
    """A template looks members up on the class, which it would call otherwise."""

    def __new__(metacls, classname: str, bases: Any, classdict: Any, **kwds: Any) -> Any:
        labels: list[Any] = []
        for key in classdict._member_names:
            value = classdict[key]
            if isinstance(value, (list, tuple)) and len(value) > 1 and isinstance(value[-1], str):
                *value, label = value
                value = tuple(value) if len(value) > 1 else value[0]
            else:
                label = key.replace("_", " ").title()
            labels.append(label)
            dict.__setitem__(classdict, key, value)
        cls: Any = super().__new__(metacls, classname, bases, classdict, **kwds)
        for member, label in zip(cls.__members__.values(), labels, strict=True):
            member._label_ = label
        return enum.unique(cls)

    def __contains__(cls, member: object) -> bool:
        """Is it a member, or the value of one?"""
        if isinstance(member, enum.Enum):
            return super().__contains__(member)
        members: list[Any] = list(cls)
        return any(one.value == member for one in members)

    @property
    def choices(cls) -> list[tuple[Any, str]]:
        """Pairs of value and label."""
        kind: Any = cls
        empty = [(None, kind.__empty__)] if hasattr(kind, "__empty__") else []
        return [*empty, *((member.value, member.label) for member in kind)]

    @property
    def names(cls) -> list[str]:
        """The members' names."""
        return [*(["__empty__"] if hasattr(cls, "__empty__") else []), *cls.__members__]

    @property
    def labels(cls) -> list[str]:
        """The labels."""
        return [label for _, label in cls.choices]

    @property
    def values(cls) -> list[Any]:
        """The values."""
        return [value for value, _ in cls.choices]


class Choices(enum.Enum, metaclass=ChoicesType):
    """Base of the two."""

    _label_: str

    @property
    def label(self) -> str:
        """For people to read."""
        return self._label_

    def __str__(self) -> str:
        return str(self.value)


class IntegerChoices(int, Choices):
    """Numbers."""


class TextChoices(str, Choices):
    """Texts. ``auto()`` is the member's name."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> str:
        return name
