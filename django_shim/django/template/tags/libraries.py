"""``{% load %}``, and the tags that a project's own libraries bring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from jinja2 import nodes

from ..building import call
from ..expressions import keyword
from ..lexer import Token
from ..library import FunctionTag
from ..messages import unknown_library
from ..parser import Nodes, Parser
from .control import name_or_fail
from .output import show_or_assign

__all__ = ["LIBRARIES", "function_tag"]

BUILT_IN = ("static",)
"""Libraries whose tags need not be loaded here."""


def load_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if len(words) > 2 and words[-2] == "from":
        _load(parser, words[-1], words[:-2])
    else:
        for name in words:
            _load(parser, name, None)
    return []


def _load(parser: Parser, name: str, wanted: list[str] | None) -> None:
    if name in BUILT_IN:
        _check_names(parser, name, wanted, {*parser.tags, *parser.filters})
        return
    environment = parser.environment
    library = environment.library(name)
    if library is None:
        parser.fail(unknown_library(name, [*BUILT_IN, *environment.library_names()]))
    filters = environment.add_filters(name, library)
    tags = {tag: function_tag(f"{name}.{tag}", one) for tag, one in library.tags.items()}
    _check_names(parser, name, wanted, {*filters, *tags})
    parser.filters.update({one: key for one, key in filters.items() if wanted is None or one in wanted})
    parser.tags.update({one: tag for one, tag in tags.items() if wanted is None or one in wanted})


def _check_names(parser: Parser, library: str, wanted: list[str] | None, known: set[str]) -> None:
    for one in wanted or ():
        if one not in known:
            parser.fail(f"the library {library!r} has neither a tag nor a filter {one!r}")


def function_tag(key: str, tag: FunctionTag) -> Callable[[Parser, Token], Nodes]:
    """Return the compile function of a ``simple_tag`` or ``inclusion_tag``."""

    def compile_tag(parser: Parser, token: Token) -> Nodes:
        words, name = token.arguments, None
        if tag.template is None and len(words) > 1 and words[-2] == "as":
            words, name = words[:-2], name_or_fail(parser, words[-1])
        args: list[nodes.Expr] = []
        kwargs: list[nodes.Pair] = []
        for word in words:
            pair = keyword(word)
            if pair is None:
                args.append(parser.value(word))
            else:
                kwargs.append(nodes.Pair(nodes.Const(pair[0]), parser.value(pair[1])))
        _check_arguments(parser, token, tag, len(args), [pair.key.value for pair in kwargs])  # type: ignore[attr-defined]  # they are constants
        parser.environment.function_tags[key] = tag
        result = call(
            "function_tag",
            nodes.DerivedContextReference(),
            nodes.Const(key),
            nodes.List(args),
            nodes.Dict(kwargs),
            nodes.Const(parser.autoescape),
        )
        if tag.template is None and name is None:
            return [nodes.Output([call("shown", result, nodes.Const(parser.autoescape))])]
        return show_or_assign(parser, result, name)

    return compile_tag


def _check_arguments(parser: Parser, token: Token, tag: FunctionTag, args: int, kwargs: list[str]) -> None:
    """A call that cannot work is an error in the template, and told when it is read."""
    given: list[Any] = [None] * (args + tag.takes_context)
    try:
        inspect.signature(tag.function).bind(*given, **dict.fromkeys(kwargs))
    except TypeError as error:
        parser.fail(f"{token.name!r}: {error}")


LIBRARIES = {"load": load_tag}
