"""The tags of ``{% load i18n %}`` that show text: as it is written, since nothing is translated here."""

from __future__ import annotations

import re

from jinja2 import nodes

from ..building import call
from ..expressions import keyword
from ..lexer import Kind, Token
from ..parser import Nodes, Parser
from ..runtime import mangled
from .control import assign, name_or_fail
from .output import show_or_assign

__all__ = ["TRANSLATION"]


def translate_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if not words:
        parser.fail(f"'{token.name}' needs the text to show")
    text, *options = words
    name = None
    while options:
        option = options.pop(0)
        if option in ("as", "context") and options:
            value = options.pop(0)
            name = value if option == "as" else name
        elif option != "noop":
            parser.fail(f"'{token.name}' does not know {option!r}")
    return show_or_assign(parser, parser.value(text), name)


def blocktranslate_tag(parser: Parser, token: Token) -> Nodes:
    pairs, counter, name, trimmed = _options(parser, token)
    singular = _content(parser, trimmed)
    body: Nodes = singular
    if parser.token.name == "plural":
        plural = _content(parser, trimmed)
        if counter is None:
            parser.fail(f"'{token.name}' has a plural and nothing to count")
        one = call("compare", nodes.Const("=="), nodes.Name(mangled(counter), "load"), nodes.Const(1))
        body = [nodes.If(one, singular, [], plural)]
    if parser.token.name not in ("endblocktranslate", "endblocktrans"):
        parser.fail(f"'{token.name}' is not ended")
    if name:
        body = [nodes.AssignBlock(nodes.Name(mangled(name), "store"), None, body)]
    if not pairs:
        return body
    targets: list[nodes.Expr] = [nodes.Name(mangled(key), "store") for key, _ in pairs]
    values = [parser.value(value) for _, value in pairs]
    if not name:
        return [nodes.With(targets, values, body)]
    # What is kept has to outlive the block, so its variables cannot have a scope of their own.
    return [*(assign(key, value) for (key, _), value in zip(pairs, values, strict=True)), *body]


def _options(parser: Parser, token: Token) -> tuple[list[tuple[str, str]], str | None, str | None, bool]:
    """Variables, the one that counts, the name to keep the text under, whether to trim."""
    pairs: list[tuple[str, str]] = []
    counter = name = None
    trimmed = False
    mode = ""
    words = token.arguments
    while words:
        word = words.pop(0)
        if word in ("with", "count"):
            mode = word
        elif word == "and" and mode:
            continue
        elif word == "trimmed":
            trimmed = True
        elif word in ("asvar", "context") and words:
            value = words.pop(0)
            name = name_or_fail(parser, value) if word == "asvar" else name
        elif mode and (pair := keyword(word) or _old_pair(word, words)):
            pairs.append((name_or_fail(parser, pair[0]), pair[1]))
            counter = pair[0] if mode == "count" else counter
        else:
            parser.fail(f"'{token.name}' does not know {word!r}")
    return pairs, counter, name, trimmed


def _old_pair(word: str, words: list[str]) -> tuple[str, str] | None:
    """``value as name``"""
    if len(words) < 2 or words[0] != "as":
        return None
    words.pop(0)
    return words.pop(0), word


def _content(parser: Parser, trimmed: bool) -> Nodes:
    """Text and plain variables up to the next tag, which is then ``parser.token``."""
    found: Nodes = []
    while parser.tokens:
        parser.token = token = parser.tokens.popleft()
        if token.kind is Kind.TAG:
            return found
        if token.kind is Kind.TEXT:
            text = re.sub(r"\s*\n\s*", " ", token.text) if trimmed else token.text
            if trimmed:
                text = text if found else text.lstrip()
                ends = not parser.tokens or parser.tokens[0].kind is Kind.TAG
                text = text.rstrip() if ends else text
            found.append(nodes.Output([nodes.TemplateData(text)], lineno=token.line))
        elif token.kind is Kind.VARIABLE:
            found.append(parser.show(parser.value(token.text)))
    return found


def current_language_tag(parser: Parser, token: Token) -> Nodes:
    if len(token.arguments) != 2 or token.arguments[0] != "as":
        parser.fail("write {% get_current_language as NAME %}")
    return [assign(name_or_fail(parser, token.arguments[1]), call("language"))]


TRANSLATION = {
    "blocktrans": blocktranslate_tag,
    "blocktranslate": blocktranslate_tag,
    "get_current_language": current_language_tag,
    "trans": translate_tag,
    "translate": translate_tag,
}
