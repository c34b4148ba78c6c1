"""Tags that put templates together: extends, block, include."""

from __future__ import annotations

import re

from jinja2 import nodes

from ..building import call
from ..expressions import keyword
from ..lexer import Token
from ..parser import Nodes, Parser
from ..runtime import mangled
from ..scopes import scope

__all__ = ["INHERITANCE"]


def extends_tag(parser: Parser, token: Token) -> Nodes:
    if len(token.arguments) != 1:
        parser.fail("'extends' takes one argument")
    if parser.extends is not None:
        parser.fail("a template extends one other, not two")
    if parser.seen_tag:
        parser.fail("{% extends %} comes before all other tags")
    parent = call("parent", parser.value(token.arguments[0]))
    parser.extends = nodes.Extends(parent)
    return [parser.extends]


def block_tag(parser: Parser, token: Token) -> Nodes:
    if len(token.arguments) != 1:
        parser.fail("'block' needs a name, and nothing else")
    name = token.arguments[0]
    if name in parser.blocks:
        parser.fail(f"there are two blocks named '{name}'")
    parser.blocks.add(name)
    in_block, autoescape = parser.builder.in_block, parser.autoescape
    if parser.extends is not None and not in_block:
        # The parent shows it: what is around it here, such as {% autoescape off %}, counts for nothing.
        parser.autoescape = parser.environment.autoescape_by_default
    parser.builder.in_block = True
    body = parser.body("endblock")
    parser.builder.in_block, parser.autoescape = in_block, autoescape
    end = parser.token.arguments
    if end and end != [name]:
        parser.fail(f"'endblock {end[0]}' ends the block '{name}'")
    # Scoped: a block within a loop sees the loop's variables.
    block = nodes.Block(_identifier(name), scope(body), True, False)
    if not any(block.find_all((nodes.Assign, nodes.For, nodes.With))):
        _share_context(block)
    return [block]


def _share_context(block: nodes.Block) -> None:
    """``{{ block.super }}`` of a block that sets nothing needs no context of its own."""
    for made in block.find_all(nodes.Call):
        if isinstance(made.node, nodes.EnvironmentAttribute) and made.node.name == "django_parent_block":
            del made.args[1:]


def _identifier(name: str) -> str:
    """Jinja2 makes functions of blocks, so ``extra-head`` is spelt otherwise; the same in every template."""
    return re.sub(r"\W", lambda match: f"_x{ord(match[0]):x}_", name)


def include_tag(parser: Parser, token: Token) -> Nodes:
    if not token.arguments:
        parser.fail("'include' needs the name of a template")
    template, *options = token.arguments
    only = "only" in options
    options = [option for option in options if option != "only"]
    if options and (options[0] != "with" or len(options) == 1):
        parser.fail(f"'include' is written {{% include template with name=value only %}}, not {token.text!r}")
    pairs = []
    for option in options[1:]:
        pair = keyword(option)
        if pair is None:
            parser.fail(f"'include' received an invalid token: {option!r}; expected name=value")
        pairs.append(nodes.Pair(nodes.Const(mangled(pair[0])), parser.value(pair[1])))
    as_usual = parser.autoescape == parser.environment.autoescape_by_default
    included = call(
        "include" if as_usual else "include_otherwise",
        nodes.DerivedContextReference(),
        nodes.Const(parser.name),
        parser.value(template),
        nodes.Dict(pairs),
        nodes.Const(only),
    )
    return [nodes.Output([included])]


INHERITANCE = {"block": block_tag, "extends": extends_tag, "include": include_tag}
