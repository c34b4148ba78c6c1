"""Patterns backwards: from a name and arguments to a path.

A pattern is taken apart into literal text and parameters. A route of ``path()`` says plainly where its
parameters are; a regular expression is read from Python's own parse of it, with the first alternative, no
repetition that is optional, and one candidate for each way to leave out an optional group.
"""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from compat.patterns import Converter, Pattern, StringConverter

__all__ = ["Candidate", "Parameter", "Reverser", "candidates_of"]

_sre: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

_ANY_CHARACTER = "."
_CATEGORIES = {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "x", "CATEGORY_SPACE": " "}
_UNRESERVED = "!$&'()*+,;=/~:@"
"""What stays as it is in a path, besides letters, digits and ``-._~`` (RFC 3986, section 3.3)."""


@dataclass(frozen=True)
class Parameter:
    """A place in a path that an argument fills."""

    name: str
    converter: Converter


Part = str | Parameter


@dataclass(frozen=True)
class Candidate:
    """One way to write a path: text and parameters, in order; ``regex`` must match what comes out."""

    parts: tuple[Part, ...]
    regex: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that the pattern itself brings; given ones must be equal."""

    def __add__(self, below: Candidate) -> Candidate:
        regex = self.regex + below.regex.removeprefix("^")
        return Candidate(self.parts + below.parts, regex, {**self.defaults, **below.defaults})

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters, each once, in order of appearance."""
        found = {part.name: part for part in self.parts if isinstance(part, Parameter)}
        return list(found.values())

    def fill(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """Return the path, unquoted, or None if the arguments do not fit."""
        values = self._values(args, kwargs)
        if values is None:
            return None
        text = ""
        for part in self.parts:
            if isinstance(part, str):
                text += part
                continue
            try:
                text += str(part.converter.to_url(values[part.name]))
            except ValueError:
                return None
        return text if _matches(self.regex, text) else None

    def _values(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        names = [parameter.name for parameter in self.parameters]
        if args:
            return dict(zip(names, args, strict=True)) if len(args) == len(names) else None
        surplus = set(kwargs).symmetric_difference(names) - set(self.defaults)
        agree = all(kwargs.get(name, value) == value for name, value in self.defaults.items())
        return {**self.defaults, **kwargs} if not surplus and agree else None

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else f"<{part.name}>" for part in self.parts)


def _matches(regex: str, text: str) -> bool:
    try:
        return re.search("^" + regex.removeprefix("^"), text) is not None
    except re.error:
        return True  # two levels that use one name: nothing to check with


class Reverser:
    """Candidates by the name of a view (or the view itself); the one written last comes first."""

    def __init__(self, candidates: Iterable[tuple[Any, Candidate]]) -> None:
        self._candidates: dict[Any, list[Candidate]] = {}
        for key, candidate in candidates:
            try:
                self._candidates.setdefault(key, []).insert(0, candidate)
            except TypeError:
                continue  # a view that cannot be hashed can only be reversed by name

    def candidates(self, key: Any) -> list[Candidate]:
        """Return the candidates for ``key``, or [] if nothing has that name."""
        return self._candidates.get(key, [])

    def names(self) -> list[str]:
        """Return every name, for error messages."""
        return sorted(key for key in self._candidates if isinstance(key, str))


def quoted(path: str) -> str:
    """Return ``path`` as it stands in a URL; a leading ``//`` would name another host."""
    text = quote(path, safe=_UNRESERVED)
    return f"/%2F{text[2:]}" if text.startswith("//") else text


def candidates_of(pattern: Pattern, defaults: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield every way to write what ``pattern`` matches."""
    route = getattr(pattern, "_route", None)
    if route is not None:
        yield Candidate(tuple(_route_parts(str(route), pattern.converters)), pattern._regex, defaults)
        return
    for parts in _regex_parts(pattern.regex):
        yield Candidate(parts, pattern._regex, defaults)


def _route_parts(route: str, converters: Mapping[str, Converter]) -> Iterator[Part]:
    pieces = re.split("<([^>]+)>", route)
    for index, piece in enumerate(pieces):
        if index % 2:
            name = piece.rpartition(":")[2]
            yield Parameter(name, converters[name])
        elif piece:
            yield piece


def _regex_parts(regex: re.Pattern[str]) -> list[tuple[Part, ...]]:
    if _has_choice(regex.pattern):
        return []  # as in Django: nothing says which of "(?:foo|bar)" is meant
    names = {number: name for name, number in regex.groupindex.items()}
    return _sequence(_sre.parse(regex.pattern, regex.flags & ~re.UNICODE), names)


_SYNTAX = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?!P<))?|\)|\|", re.DOTALL)
"""Escapes and character sets, which are passed over, and parentheses and bars."""


def _has_choice(pattern: str) -> bool:
    """Return True for a "|" that is in no group whose text is an argument."""
    takes_argument = []
    for match in _SYNTAX.finditer(pattern):
        token = match[0]
        if token.startswith("("):
            takes_argument.append(token == "(")
        elif token == ")" and takes_argument:
            takes_argument.pop()
        elif token == "|" and not any(takes_argument):
            return True
    return False


Alternatives = list[tuple[Part, ...]]


def _sequence(parsed: Any, names: Mapping[int, str]) -> Alternatives:
    """Return all ways through a sequence: the product of the ways through its items."""
    items = [_item(str(op), value, names) for op, value in parsed]
    return [tuple(itertools.chain.from_iterable(one)) for one in itertools.product(*items)]


def _item(op: str, value: Any, names: Mapping[int, str]) -> Alternatives:
    match op:
        case "LITERAL":
            return [(chr(value),)]
        case "ANY" | "NOT_LITERAL":
            return [(_ANY_CHARACTER,)]
        case "IN":
            return [(_character(value),)]
        case "SUBPATTERN":
            return _group(value, names)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _repeat(value, names)
        case "ATOMIC_GROUP":
            return _sequence(value, names)
        case "GROUPREF":
            return [(_parameter(value, names),)]
        case _:
            return [()]  # anchors and look-around take no text


def _group(value: Any, names: Mapping[int, str]) -> Alternatives:
    number, inner = value[0], value[-1]
    if number is None:
        return _sequence(inner, names)
    return [(_parameter(number, names),)]


def _parameter(number: int, names: Mapping[int, str]) -> Parameter:
    return Parameter(names.get(number, f"_{number}"), StringConverter())


def _repeat(value: Any, names: Mapping[int, str]) -> Alternatives:
    least, _, inner = value
    ways = _sequence(inner, names)
    if least:
        return [way * least for way in ways]
    with_parameter = [way for way in ways if any(isinstance(part, Parameter) for part in way)]
    return [*with_parameter, ()]


def _character(choices: Any) -> str:
    """Return one character that a ``[…]`` takes."""
    for op, value in choices:
        match str(op):
            case "LITERAL":
                return chr(value)
            case "RANGE":
                return chr(value[0])
            case "CATEGORY":
                return _CATEGORIES.get(str(value), _ANY_CHARACTER)
    return _ANY_CHARACTER
