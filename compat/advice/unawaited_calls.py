"""Calls without ``await`` in the source of a class, found by its syntax tree.

A call counts if it is a statement (``self.send(...)``), or is assigned to a name that is never read, and if
it creates a coroutine: methods of the class itself are inspected. Methods of a channel layer are known by
their names and the layer's (``layer``, ``…_layer`` or ``get_channel_layer()``).
``channels-compat doctor`` calls ``unawaited_calls``, and so does ``compat.advice.unawaited`` if Python does
not know the line of a call.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
import tokenize
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Call", "correction", "unawaited_calls"]

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LAYER_METHODS = frozenset(
    ("flush", "group_add", "group_discard", "group_send", "new_channel", "receive", "send")
)
LIBRARY = frozenset(("asyncio.sleep", "asyncio.wait", "asyncio.wait_for"))


class Call(NamedTuple):
    """A call without effect; ``target`` is the called expression, such as "self.channel_layer.group_send"."""

    file: str
    line: int
    function: str
    target: str
    in_async: bool
    kept: bool
    """The result is assigned to a name."""

    @property
    def name(self) -> str:
        """The last part of the target."""
        return self.target.rpartition(".")[2]

    @property
    def fix(self) -> str:
        """The corrected call."""
        return correction(self.target, in_async=self.in_async)


def correction(target: str, *, in_async: bool) -> str:
    """Return a call of ``target`` that runs it, for an ``async def`` or a plain function."""
    return f"await {target}(...)" if in_async else f"async_to_sync({target})(...)"


def unawaited_calls(cls: type) -> list[Call]:
    """Return every such call in the methods of ``cls`` and of its bases, except our own classes.

    A class without source, for example from an interactive session, has none.
    """
    found = []
    for base in cls.__mro__:
        for function, owner in _functions(base):
            found += _Search(cls, function, owner).run()
    return found


def _functions(base: type) -> Iterator[tuple[types.FunctionType, str]]:
    """Yield the functions in the class body of ``base`` that are not ours, and how each calls its object or
    class; "" for a static method, which has none.
    """
    for value in vars(base).values():
        function = inspect.unwrap(getattr(value, "__func__", value))
        if isinstance(function, types.FunctionType) and not function.__code__.co_filename.startswith(PACKAGE):
            code = function.__code__
            has_owner = code.co_argcount and not isinstance(value, staticmethod)
            yield function, code.co_varnames[0] if has_owner else ""


class _Search(ast.NodeVisitor):
    """A visitor that searches the source of a method and the functions in it."""

    def __init__(self, cls: type, function: types.FunctionType, owner: str) -> None:
        self.cls = cls
        self.function = function
        self.owner = owner
        self.in_async: list[bool] = []
        self.read: set[str] = set()
        """The names whose values are read, perhaps by other functions."""
        self.bound: set[str] = set()
        """The names that do not, or not for sure, mean those of the module."""
        self.found: list[Call] = []

    def run(self) -> list[Call]:
        try:
            lines, start = inspect.getsourcelines(self.function)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, SyntaxError, TypeError, ValueError, tokenize.TokenError):
            return []  # no source, that of a file replaced meanwhile, or part of a line: a lambda
        ast.increment_lineno(tree, start - 1)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                (self.read if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)
            elif isinstance(node, ast.arg):
                self.bound.add(node.arg)
            elif isinstance(node, ast.alias):
                self.bound.add(node.asname or node.name.partition(".")[0])
            elif (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler))
                and node.name
            ):
                self.bound.add(node.name)
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                self.read.update(node.names)
        self.visit(tree)
        return self.found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._enter(node, False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._enter(node, True)

    def _enter(self, node: ast.AST, is_async: bool) -> None:
        self.in_async.append(is_async)
        self.generic_visit(node)
        self.in_async.pop()

    def visit_Expr(self, node: ast.Expr) -> None:
        self._look(node.value, kept=False)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if len(names) == len(node.targets) and not self.read.intersection(names):
            self._look(node.value, kept=True)
        self.generic_visit(node)

    def _look(self, value: ast.expr, *, kept: bool) -> None:
        if not isinstance(value, ast.Call) or not self.in_async:
            return
        target = ast.unparse(value.func)
        if self._makes_a_coroutine(value.func, target):
            code = self.function.__code__
            where = f"{self.function.__module__}.{self.function.__qualname__}"
            self.found.append(Call(code.co_filename, value.lineno, where, target, self.in_async[-1], kept))

    def _makes_a_coroutine(self, function: ast.expr, target: str) -> bool:
        if isinstance(function, ast.Name):
            known = function.id not in self.bound
            return known and _is_coroutine_function(self.function.__globals__.get(function.id))
        if not isinstance(function, ast.Attribute):
            return False
        receiver, name = ast.unparse(function.value), function.attr
        if receiver == self.owner or receiver.startswith("super("):
            return _is_coroutine_function(inspect.getattr_static(self.cls, name, None))
        return target in LIBRARY or (name in LAYER_METHODS and _is_layer(function.value))


def _is_layer(receiver: ast.expr) -> bool:
    """Return True for an expression that is named as a channel layer is."""
    if isinstance(receiver, ast.Call):
        return _last_name(receiver.func) == "get_channel_layer"
    name = _last_name(receiver)
    return name == "layer" or name.endswith("_layer")


def _last_name(expression: ast.expr) -> str:
    return ast.unparse(expression).rpartition(".")[2]


def _is_coroutine_function(value: Any) -> bool:
    function = getattr(value, "__func__", value)
    return inspect.iscoroutinefunction(function)
