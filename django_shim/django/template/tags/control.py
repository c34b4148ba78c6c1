"""Tags that decide what is shown: if, for, with, comment, verbatim, autoescape."""

from __future__ import annotations

from jinja2 import nodes

from ..building import call, variable
from ..expressions import keyword
from ..lexer import Token
from ..parser import Nodes, Parser
from ..runtime import mangled
from ..scopes import looping, scope

__all__ = ["CONTROL", "assign", "name_or_fail"]


def if_tag(parser: Parser, token: Token) -> Nodes:
    root = branch = nodes.If(parser.condition(token.arguments), [], [], [])
    branch.body = parser.body("elif", "else", "endif")
    while (end := parser.token).name != "endif":
        if end.name == "else":
            root.else_ = parser.body("endif")
        else:
            branch = nodes.If(parser.condition(end.arguments), [], [], [], lineno=end.line)
            branch.body = parser.body("elif", "else", "endif")
            root.elif_.append(branch)
    return [root]


def for_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    backwards = len(words) > 3 and words[-1] == "reversed"
    if backwards:
        words = words[:-1]
    if len(words) < 3 or words[-2] != "in":
        parser.fail(f"'for' is written {{% for item in items %}}, not {token.text!r}")
    names = " ".join(words[:-2]).replace(",", " , ").split()
    if names[1::2] != [","] * (len(names) // 2) or len(names) % 2 == 0:
        parser.fail(f"the names in {token.text!r} need commas between them")
    targets = [_store(parser, name) for name in names[::2]]
    item: nodes.Expr = targets[0] if len(targets) == 1 else nodes.Tuple(list(targets), "store")
    items = call(
        "iterate",
        parser.value(words[-1], missing=None),
        nodes.Const(backwards),
        variable("forloop"),
        nodes.Const(len(targets)),
    )
    loop = nodes.For(nodes.Tuple([nodes.Name("forloop", "store"), item], "store"), items, [], [], None, False)
    loop.body = parser.body("empty", "endfor")
    if parser.token.name == "empty":
        loop.else_ = parser.body("endfor")
    return [looping(loop, targets)]


def with_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if len(words) == 3 and words[1] == "as":
        pairs = [(words[2], words[0])]
    else:
        pairs = [_pair(parser, word) for word in words]
    if not pairs:
        parser.fail("'with' is written {% with name=value %}")
    targets: list[nodes.Expr] = [_store(parser, name) for name, _ in pairs]
    return [nodes.With(targets, [parser.value(value) for _, value in pairs], scope(parser.body("endwith")))]


def _pair(parser: Parser, word: str) -> tuple[str, str]:
    pair = keyword(word)
    if pair is None:
        parser.fail(f"'with' is written {{% with name=value %}}, not {word!r}")
    return pair


def autoescape_tag(parser: Parser, token: Token) -> Nodes:
    if token.arguments not in (["on"], ["off"]):
        parser.fail("'autoescape' is on or off")
    before, parser.autoescape = parser.autoescape, token.arguments == ["on"]
    body = parser.body("endautoescape")
    parser.autoescape = before
    return body


def comment_tag(parser: Parser, token: Token) -> Nodes:
    parser.skip_to("endcomment")
    return []


def verbatim_tag(parser: Parser, token: Token) -> Nodes:
    return parser.body("endverbatim")


def assign(name: str, value: nodes.Expr) -> nodes.Assign:
    """Return ``name = value`` in the template's current scope."""
    return nodes.Assign(nodes.Name(mangled(name), "store"), value)


def name_or_fail(parser: Parser, name: str) -> str:
    """``name``, if a variable can have it."""
    if not name.isidentifier() or name.startswith("_"):
        parser.fail(f"{name!r} cannot be the name of a variable")
    return name


def _store(parser: Parser, name: str) -> nodes.Name:
    return nodes.Name(mangled(name_or_fail(parser, name)), "store")


CONTROL = {
    "autoescape": autoescape_tag,
    "comment": comment_tag,
    "for": for_tag,
    "if": if_tag,
    "verbatim": verbatim_tag,
    "with": with_tag,
}
