"""How long a variable lives that ``{% … as name %}`` has set.

Django's scopes are layers of a stack, which each template, block, loop and ``{% with %}`` pushes. Jinja2's
are decided when a template is compiled, and differ: a name that is set somewhere in a scope is undefined
before that, also for the scopes inside, and each pass of a loop begins anew. What is here makes up for both.
A body that sets nothing is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jinja2 import nodes

from .building import call

__all__ = ["looping", "scope"]

KEPT = "_kept"
"""The variable that holds what the passes of a loop have set; no variable of a template begins like this."""


def scope(body: list[nodes.Node]) -> list[nodes.Node]:
    """Return ``body`` as a scope, in which each name means what it means outside, until it is set."""
    names = sorted({_name(one) for one in _assignments(body)})
    return [*(nodes.ExprStmt(nodes.Name(name, "load"), lineno=body[0].lineno) for name in names), *body]


def looping(loop: nodes.For, targets: list[nodes.Name]) -> nodes.Node:
    """Return the loop as Django runs it: the passes share one scope. With several names each has its own."""
    loop.else_ = scope(loop.else_)
    if len(targets) > 1:
        loop.body = scope(loop.body)
        return loop
    kept = nodes.Name(KEPT, "load")
    found: set[str] = set()
    for one in _assignments(loop.body):
        name = _name(one)
        if name != targets[0].name:  # which the next pass sets in any case
            found.add(name)
            one.node = call("keep", kept, nodes.Const(name), _value(one))
    if not found:
        return loop
    loop.body = [
        *(
            nodes.Assign(
                nodes.Name(name, "store"),
                call("kept", kept, nodes.Const(name), nodes.Name(name, "load")),
            )
            for name in sorted(found)
        ),
        *loop.body,
    ]
    return nodes.With([nodes.Name(KEPT, "store")], [nodes.Dict([])], [loop])


def _assignments(body: Iterable[nodes.Node]) -> Iterator[nodes.Assign]:
    """Those of this very scope. The branches of an ``{% if %}`` have none of their own."""
    for node in body:
        if isinstance(node, nodes.Assign):
            yield node
        elif isinstance(node, nodes.If):
            yield from _assignments([*node.body, *node.elif_, *node.else_])


def _value(assignment: nodes.Assign) -> nodes.Expr:
    assert isinstance(assignment.node, nodes.Expr)
    return assignment.node


def _name(assignment: nodes.Assign) -> str:
    assert isinstance(assignment.target, nodes.Name)
    return assignment.target.name
