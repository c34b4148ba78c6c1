"""A YAML writer for JSON values, so that no YAML library is needed.

Strings are quoted if a parser of YAML 1.1 or 1.2 could read them as another type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["to_yaml"]

PLAIN = re.compile(r"[A-Za-z_/$#{][\w ./$#{}\-]*")
NOT_A_STRING = re.compile(r"(?i)(y|yes|n|no|on|off|true|false|null|none|~|nan|inf|infinity)")


def to_yaml(value: Any) -> str:
    """Return ``value`` (JSON values) as a YAML document, keys in their order."""
    return "\n".join(_block(value, "")) + "\n"


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", inner, indent + "  ")
    elif _is_list(value) and value:
        for inner in value:
            yield from _item(inner, indent)
    else:
        yield f"{indent}{_scalar(value)}"


def _entry(start: str, value: Any, indent: str) -> Iterator[str]:
    if (isinstance(value, Mapping) or _is_list(value)) and value:
        yield start
        yield from _block(value, indent)
    else:
        yield f"{start} {_scalar(value)}"


def _item(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of an item of a list; the first one has the dash."""
    first, *rest = _block(value, indent + "  ")
    yield f"{indent}- {first.lstrip(' ')}"
    yield from rest


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and not value.endswith(" ") and not value.startswith(("{", "#"))
        quoted = not plain or NOT_A_STRING.fullmatch(value) or " #" in value
        return json.dumps(value, ensure_ascii=False) if quoted else value
    if isinstance(value, Mapping):
        return "{}"
    if _is_list(value):
        return "[]"
    return json.dumps(value)
