"""Expressions and conditions as nodes of Jinja2's syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import nodes

from .conditions import Condition, Infix, Negation
from .expressions import Constant, Expression, ExpressionError, FilterCall, Lookup
from .runtime import SUCCEEDED, attempted, mangled, unless_invalid

__all__ = ["Builder", "call", "variable"]


def call(function: str, *arguments: nodes.Expr) -> nodes.Call:
    """Return a call of one of ``runtime.FUNCTIONS`` (or of what the environment adds to them)."""
    return nodes.Call(nodes.EnvironmentAttribute(f"django_{function}"), list(arguments), [], None, None)


def variable(name: str) -> nodes.Name:
    """Return a variable as it is in the context, ``Missing`` included."""
    return nodes.Name(mangled(name), "load")


def _constants(values: Sequence[str]) -> nodes.Tuple:
    """Return a tuple of texts."""
    return nodes.Tuple([nodes.Const(value) for value in values], "load")


class Builder:
    """Builds with the filters that one template knows: their names, and their keys in the environment.

    ``invalid`` is what a missing variable shows as (TEMPLATES' string_if_invalid).
    """

    def __init__(
        self, filters: Mapping[str, str], invalid: str, unknown_filter: Callable[[str], str]
    ) -> None:
        self.filters = filters
        self.invalid = invalid
        self.unknown_filter = unknown_filter
        self.in_block = False

    def expression(
        self, expression: Expression, missing: Any, autoescape: bool, lenient: bool = False
    ) -> nodes.Expr:
        """Return the value; ``missing`` replaces an unknown variable, with ``lenient`` in arguments too."""
        marked = bool(missing == "" and self.invalid and expression.filters)  # it passes by the filters
        node = self._base(expression.base, missing, marked)
        for one in expression.filters:
            node = self.filter(node, one, autoescape, lenient, "later" if marked else "argument")
            if marked:
                node.name = unless_invalid(node.name)
        return call("plain", node) if marked else node

    def filter(
        self,
        node: nodes.Expr | None,
        one: FilterCall,
        autoescape: bool,
        lenient: bool = False,
        getter: str = "argument",
    ) -> nodes.Filter:
        """Return a filter around ``node`` (None: around a block's content).

        ``getter`` is the function that gets its argument, unless that may be missing (``lenient``).
        """
        key = self.filters.get(one.name)
        if key is None:
            raise ExpressionError(self.unknown_filter(one.name))
        arguments: list[nodes.Expr] = [nodes.Const(autoescape)]
        if one.argument is not None:
            arguments.append(
                self._base(one.argument, None) if lenient else self._argument(one.argument, getter)
            )
        return nodes.Filter(node, key, arguments, [], None, None)

    def _base(self, base: Constant | Lookup, missing: Any, marked: bool = False) -> nodes.Expr:
        if isinstance(base, Constant):
            return _constant(base)
        if self.in_block and base.name == "block" and base.steps == ("super",):
            return call("parent_block", nodes.Name("super", "load"), nodes.DerivedContextReference())
        shown: nodes.Expr = nodes.Const(missing)
        if missing == "" and self.invalid:
            shown = nodes.Const(self.invalid.replace("%s", str(base)))
        if marked:
            shown = call("Invalid", shown)
        return call("lookup", variable(base.name), nodes.Const(base.name), _constants(base.steps), shown)

    def _argument(self, argument: Constant | Lookup, getter: str) -> nodes.Expr:
        if isinstance(argument, Constant):
            return _constant(argument)
        return call(getter, variable(argument.name), nodes.Const(argument.name), _constants(argument.steps))

    def condition(self, condition: Condition, autoescape: bool) -> nodes.Expr:
        """Return a truth value; variables that are missing are None in it.

        An operator is false if a filter of its operands fails.
        """
        if isinstance(condition, Negation):
            return nodes.Not(self._operand(condition.operand, autoescape))  # FAILED counts as true
        if not isinstance(condition, Infix):
            return self.expression(condition, None, autoescape, lenient=True)
        sides = (condition.left, condition.right)
        left, right = (self._operand(side, autoescape) for side in sides)
        may_fail = any(isinstance(side, Expression) and side.filters for side in sides)
        if condition.operator == "and":
            return nodes.And(*(_succeeded(side) if may_fail else side for side in (left, right)))
        if condition.operator == "or":
            either = nodes.Or(left, right)
            return _succeeded(either) if may_fail else either
        compare = "compare_attempts" if may_fail else "compare"
        return call(compare, nodes.Const(condition.operator), left, right)

    def _operand(self, operand: Condition, autoescape: bool) -> nodes.Expr:
        """Return a side of an operator, which is FAILED where a filter raises."""
        if not isinstance(operand, Expression):
            return self.condition(operand, autoescape)
        node = self._base(operand.base, None)
        for one in operand.filters:
            node = self.filter(node, one, autoescape, lenient=True)
            node.name = attempted(node.name)
        return node


def _succeeded(value: nodes.Expr) -> nodes.Filter:
    """Return False for what has failed. As a filter, since Jinja2 calls these without a detour."""
    return nodes.Filter(value, SUCCEEDED, [], [], None, None)


def _constant(constant: Constant) -> nodes.Expr:
    node = nodes.Const(constant.value)
    return call("safe", node) if isinstance(constant.value, str) else node
