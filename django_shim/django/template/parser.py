"""From tokens to Jinja2's syntax tree: the part that knows bodies and where they end; the tags are in
``tags``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import nodes

from .building import Builder, call
from .conditions import parse_condition
from .exceptions import TemplateSyntaxError
from .expressions import Expression, ExpressionError, parse_expression
from .lexer import Kind, Token, tokenize
from .messages import unknown_filter, unknown_tag
from .scopes import scope

if TYPE_CHECKING:
    from .environment import Environment

__all__ = ["Parser", "parse"]

Nodes = list[nodes.Node]


def parse(source: str, name: str | None, environment: Environment) -> nodes.Template:
    """Return the tree of a template; TemplateSyntaxError, with name and line, for a wrong source."""
    return Parser(source, name, environment).template()


class Parser:
    """Reads one template. A tag's compile function gets it together with the tag's token."""

    def __init__(self, source: str, name: str | None, environment: Environment) -> None:
        self.name = name or "<template>"
        self.environment = environment
        self.tokens = deque(tokenize(source))
        self.token: Token = Token(Kind.TEXT, "", 1, "")
        self.tags = dict(environment.builtin_tags)
        self.filters = dict(environment.builtin_filters)
        self.builder = Builder(self.filters, environment.string_if_invalid, unknown_filter)
        self.autoescape = environment.autoescape_by_default
        self.blocks: set[str] = set()
        self.extends: nodes.Extends | None = None
        self.seen_tag = False

    def template(self) -> nodes.Template:
        """Return the whole of it. Of a child only its blocks matter, wherever they stand."""
        body = self.body()
        if self.extends is not None:
            # Text in front of the tag is shown, as Django does; people put comments there.
            start = body.index(self.extends) + 1
            body = [*body[:start], *(block for node in body[start:] for block in _outer_blocks(node))]
        template = nodes.Template(scope(body), lineno=1)
        template.set_environment(self.environment)
        return template

    def body(self, *ends: str) -> Nodes:
        """Nodes up to one of the tags ``ends``, which is then ``self.token``; to the end of the source
        without.
        """
        opening = self.token
        found: Nodes = []
        while self.tokens:
            self.token = token = self.tokens.popleft()
            if token.kind is Kind.TAG and token.name in ends:
                return found
            found += self._nodes(token)
        if ends:
            self.fail(f"{opening.name!r} is not closed: there is no {' or '.join(ends)} below", opening)
        return found

    def _nodes(self, token: Token) -> Nodes:
        if token.kind is Kind.COMMENT:
            return []
        if token.kind is Kind.TEXT:
            made: Nodes = [nodes.Output([nodes.TemplateData(token.text)])]
        elif token.kind is Kind.VARIABLE:
            if not token.text:
                self.fail("there is nothing between {{ and }}")
            self.seen_tag = True
            made = [self.show(self.value(token.text))]
        else:
            made = self._tag(token)
        for node in made:
            node.set_lineno(token.line)
        return made

    def _tag(self, token: Token) -> Nodes:
        if not token.name:
            self.fail("there is nothing between {% and %}")
        compile_tag = self.tags.get(token.name)
        if compile_tag is None:
            self.fail(unknown_tag(token.name, self.environment.library_with_tag(token.name)))
        self.seen_tag = self.seen_tag or token.name != "extends"
        made: Nodes = compile_tag(self, token)
        return made

    def skip_to(self, end: str) -> None:
        """Past the tag ``end``, whatever is in between."""
        opening = self.token
        while self.tokens:
            self.token = self.tokens.popleft()
            if self.token.kind is Kind.TAG and self.token.name == end:
                return
        self.fail(f"{opening.name!r} is not closed: there is no {end} below", opening)

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raise TemplateSyntaxError at ``token``, by default the one that is being read."""
        line = (token or self.token).line
        raise TemplateSyntaxError(f"{self.name}, line {line}: {message}")

    # What tags are made of.

    def parsed(self, text: str) -> Expression:
        """Return an expression as data."""
        try:
            return parse_expression(text)
        except ExpressionError as error:
            self.fail(str(error))

    def value(self, text: str, missing: Any = "") -> nodes.Expr:
        """Return an expression's value."""
        try:
            return self.builder.expression(self.parsed(text), missing, self.autoescape)
        except ExpressionError as error:
            self.fail(str(error))

    def condition(self, words: Sequence[str]) -> nodes.Expr:
        """Return a condition's truth."""
        try:
            return self.builder.condition(parse_condition(words), self.autoescape)
        except ExpressionError as error:
            self.fail(str(error))

    def show(self, value: nodes.Expr) -> nodes.Output:
        """Output of a value, escaped where escaping is on."""
        return nodes.Output([call("display", value, nodes.Const(self.autoescape))])


def _outer_blocks(node: nodes.Node) -> Nodes:
    if isinstance(node, nodes.Block):
        return [node]
    return [block for child in node.iter_child_nodes() for block in _outer_blocks(child)]
