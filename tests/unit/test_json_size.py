"""How many values a JSON text has, without a parser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compat.json_size import has_more_values


def values_in(value: Any) -> int:
    """What a value counts: what it has of lists, objects, and commas between their members."""
    if not isinstance(value, list | dict):
        return 0
    members = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(len(members) - 1, 0) + sum(map(values_in, members))


@pytest.mark.parametrize(
    "value",
    [
        "[{,",
        [],
        [[[]], {"a": {}, "b,{": [1, 2]}],
        ['"[', "\\", '\\"[', '\\\\"', "{,"] * 3,
        {f'"{number}\\': "," * number for number in range(9)},
        [""] * 100,
        [{"": ""}] * 100,
        {str(number): "" for number in range(100)},
    ],
    ids=range(8),
)
@pytest.mark.parametrize("indent", [None, 1])
def test_values_are_counted_and_what_is_in_strings_is_not(value: Any, indent: int | None) -> None:
    text, count = json.dumps(value, indent=indent), values_in(value)
    assert not has_more_values(text, count)
    assert count == 0 or has_more_values(text, count - 1)


def test_strings_without_end_are_too_many() -> None:
    assert has_more_values("[" + '"",' * 100_000, 50_000)
    assert not has_more_values('"' * 100_000, 50_000)  # the parser stops at the third one
