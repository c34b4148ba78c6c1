"""Tags that show something: url, static, csrf_token."""

from __future__ import annotations

from jinja2 import nodes

from ..building import call, variable
from ..expressions import keyword
from ..lexer import Token
from ..parser import Nodes, Parser
from .control import assign, name_or_fail

__all__ = ["OUTPUT", "show_or_assign"]


def show_or_assign(parser: Parser, value: nodes.Expr, name: str | None) -> Nodes:
    """``{% tag … %}`` shows the value, ``{% tag … as name %}`` keeps it."""
    return [assign(name_or_fail(parser, name), value) if name else parser.show(value)]


def url_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    name = None
    if len(words) > 2 and words[-2] == "as":
        words, name = words[:-2], words[-1]
    if not words:
        parser.fail("'url' needs the name of a URL pattern: {% url \"room\" name %}")
    args: list[nodes.Expr] = []
    kwargs: list[nodes.Pair] = []
    for word in words[1:]:
        pair = keyword(word)
        if pair is None:
            args.append(parser.value(word))
        else:
            kwargs.append(nodes.Pair(nodes.Const(pair[0]), parser.value(pair[1])))
    address = call(
        "url",
        variable("request"),
        nodes.Const(name is not None),
        parser.value(words[0]),
        nodes.List(args),
        nodes.Dict(kwargs),
    )
    return show_or_assign(parser, address, name)


def static_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if not words or (len(words) > 1 and (len(words) != 3 or words[1] != "as")):
        parser.fail("'static' takes one argument, the path of a file: {% static \"chat/style.css\" %}")
    return show_or_assign(
        parser, call("static", parser.value(words[0])), words[2] if len(words) == 3 else None
    )


def csrf_token_tag(parser: Parser, token: Token) -> Nodes:
    return [nodes.Output([call("csrf_input", variable("csrf_token"))])]


OUTPUT = {
    "csrf_token": csrf_token_tag,
    "static": static_tag,
    "url": url_tag,
}
