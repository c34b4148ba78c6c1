"""The options of layers, and of their rules: checks, and errors that explain a mistake."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from compat.types import is_number

__all__ = [
    "IN_MEMORY",
    "Capacities",
    "check_capacities",
    "check_options",
    "require_positive",
    "without_strange",
]

log = logging.getLogger("compat.layers")

IN_MEMORY = ("expiry", "group_expiry", "capacity", "channel_capacity", "on_overflow", "history", "presence")
"""Those of the layer in memory."""
Capacities = Mapping[Any, int]
"""The option ``channel_capacity``: a capacity by pattern."""


def check_capacities(capacity: Any, channel_capacity: Any) -> None:
    """Raise ValueError if a capacity is not valid; the text says what to write instead."""
    require_positive("capacity", capacity)
    if channel_capacity is None:
        return
    if not isinstance(channel_capacity, Mapping):
        raise ValueError(
            f"channel_capacity must be a dict of pattern to capacity, such as {{'jobs.*': 1000}}, not "
            f"{channel_capacity!r}"
        )
    for pattern, value in channel_capacity.items():
        if not isinstance(pattern, str) and not hasattr(pattern, "match"):
            raise ValueError(
                "channel_capacity: a pattern is a glob such as 'jobs.*' or a compiled regular expression, "
                f"not {pattern!r}"
            )
        require_positive(f"channel_capacity[{pattern!r}]", value)


def require_positive(name: str, value: Any) -> None:
    """Raise ValueError unless ``value`` is a number greater than 0."""
    if not is_number(value) or not value > 0:
        raise ValueError(f"{name} must be a number greater than 0, not {value!r}")


def check_options(whose: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError for an unknown option of a layer, or of a rule, and suggest the nearest known one."""
    known = sorted(known)
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known options: {', '.join(known)}"
            raise TypeError(f"{whose} got an unexpected option {name!r} (CONFIG of CHANNEL_LAYERS); {hint}")


def without_strange(whose: str, options: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return ``options`` without those that resemble no known one, and log a warning for each of these.

    It is for a layer whose counterpart in Channels ignores what it does not know.
    """
    known = sorted(known)
    like = {name: value for name, value in options.items() if difflib.get_close_matches(name, known, n=1)}
    for name in options.keys() - like:
        log.warning(
            "%s has no option %r (CONFIG of CHANNEL_LAYERS) and ignores it, as in Channels; it has %s",
            whose,
            name,
            ", ".join(known),
        )
    return like
