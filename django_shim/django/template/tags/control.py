"""Tags that decide what is shown: if, for, with, ifchanged, cycle, comment, autoescape and the like."""

from __future__ import annotations

from jinja2 import nodes

from ..building import MEMORY, call, constants, variable
from ..expressions import FilterCall, Lookup, keyword
from ..lexer import Token
from ..parser import Nodes, Parser
from ..runtime import mangled

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
    return [loop]


def with_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if len(words) == 3 and words[1] == "as":
        pairs = [(words[2], words[0])]
    else:
        pairs = [_pair(parser, word) for word in words]
    if not pairs:
        parser.fail("'with' is written {% with name=value %}")
    targets: list[nodes.Expr] = [_store(parser, name) for name, _ in pairs]
    return [nodes.With(targets, [parser.value(value) for _, value in pairs], parser.body("endwith"))]


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


def filter_tag(parser: Parser, token: Token) -> Nodes:
    chain = parser.parsed(f"x|{token.text.split(None, 1)[1]}" if token.arguments else "x")
    if not chain.filters:
        parser.fail("'filter' requires at least one filter: {% filter upper %}")
    body = parser.body("endfilter")
    return [_filtered(parser, body, chain.filters)]


def spaceless_tag(parser: Parser, token: Token) -> Nodes:
    body = parser.body("endspaceless")
    return [
        nodes.FilterBlock(body, nodes.Filter(None, "django.spaceless", [nodes.Const(False)], [], None, None))
    ]


def _filtered(parser: Parser, body: Nodes, filters: tuple[FilterCall, ...]) -> nodes.Node:
    node: nodes.Filter | None = None
    for one in filters:
        if one.name in ("escape", "safe"):
            parser.fail(f"{{% filter {one.name} %}} has no effect on a block: use {{% autoescape %}}")
        node = parser.builder.filter(node, one, parser.autoescape)
    assert node is not None
    return nodes.FilterBlock(body, node)


def cycle_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if not words:
        parser.fail("'cycle' needs the values to go through")
    if len(words) == 1 and words[0] in parser.cycles:
        place, name, values, silent = parser.cycles[words[0]]
    else:
        silent = len(words) > 3 and words[-1] == "silent"
        words = words[:-1] if silent else words
        name = name_or_fail(parser, words[-1]) if len(words) > 2 and words[-2] == "as" else None
        values = words[:-2] if name else words
        place = parser.place()
        parser.cycles[name or ""] = parser.cycles[""] = (place, name, values, silent)
    choices = nodes.List([parser.value(value) for value in values])
    step = call("cycle", nodes.Name(MEMORY, "load"), nodes.Const(place), choices)
    if name is None:
        return [parser.show(step)]
    shown = [] if silent else [parser.show(variable(name))]
    return [assign(name, step), *shown]


def resetcycle_tag(parser: Parser, token: Token) -> Nodes:
    name = (token.arguments or [""])[0]
    if name not in parser.cycles:
        parser.fail(f"there is no cycle {name!r} above" if name else "there is no cycle above")
    place = nodes.Const(parser.cycles[name][0])
    return [nodes.Output([call("reset_cycle", nodes.Name(MEMORY, "load"), place)])]


def ifchanged_tag(parser: Parser, token: Token) -> Nodes:
    place = nodes.Const(parser.place())
    body = parser.body("else", "endifchanged")
    otherwise = parser.body("endifchanged") if parser.token.name == "else" else []
    if token.arguments:
        watched: nodes.Expr = nodes.List([parser.value(word) for word in token.arguments])
        before: Nodes = []
        shown = body
    else:
        # Nothing to watch but what it renders to.
        name = f"_changed{parser.place().rpartition(':')[2]}"
        before = [nodes.AssignBlock(nodes.Name(name, "store"), None, body)]
        watched = call("safe", nodes.Name(name, "load"))
        shown = [nodes.Output([nodes.Name(name, "load")])]
    test = call("changed", nodes.Name(MEMORY, "load"), variable("forloop"), place, watched)
    return [*before, nodes.If(test, shown, [], otherwise)]


def firstof_tag(parser: Parser, token: Token) -> Nodes:
    words, name = _as(parser, token.arguments)
    if not words:
        parser.fail("'firstof' needs values to choose from")
    found = call("first_of", *(parser.value(word, missing=None) for word in words))
    return [assign(name, found) if name else parser.show(found)]


def regroup_tag(parser: Parser, token: Token) -> Nodes:
    words = token.arguments
    if len(words) != 5 or words[1] != "by" or words[3] != "as":
        parser.fail("'regroup' is written {% regroup list by attribute as name %}")
    key = parser.parsed(words[2])
    if not isinstance(key.base, Lookup) or key.filters:
        parser.fail(f"'regroup' takes an attribute, such as city.name, not {words[2]!r}")
    groups = call(
        "regroup", parser.value(words[0], missing=None), nodes.Const(key.base.name), constants(key.base.steps)
    )
    return [assign(name_or_fail(parser, words[4]), groups)]


def widthratio_tag(parser: Parser, token: Token) -> Nodes:
    words, name = _as(parser, token.arguments)
    if len(words) != 3:
        parser.fail("'widthratio' takes three arguments: {% widthratio value maximum width %}")
    ratio = call("width_ratio", *(parser.value(word) for word in words))
    return [assign(name, ratio) if name else parser.show(ratio)]


def _as(parser: Parser, words: list[str]) -> tuple[list[str], str | None]:
    """``words … as name``"""
    if len(words) > 2 and words[-2] == "as":
        return words[:-2], name_or_fail(parser, words[-1])
    return words, None


def assign(name: str, value: nodes.Expr) -> nodes.Assign:
    """``name = value`` in the template's current scope."""
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
    "cycle": cycle_tag,
    "filter": filter_tag,
    "firstof": firstof_tag,
    "for": for_tag,
    "if": if_tag,
    "ifchanged": ifchanged_tag,
    "regroup": regroup_tag,
    "resetcycle": resetcycle_tag,
    "spaceless": spaceless_tag,
    "verbatim": verbatim_tag,
    "widthratio": widthratio_tag,
    "with": with_tag,
}
