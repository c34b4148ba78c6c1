"""The tags: for each name a function from parser and token to nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .control import CONTROL
from .inheritance import INHERITANCE
from .libraries import LIBRARIES
from .output import OUTPUT

__all__ = ["BUILTIN_TAGS"]

BUILTIN_TAGS: dict[str, Callable[..., Any]] = {**CONTROL, **INHERITANCE, **LIBRARIES, **OUTPUT}
