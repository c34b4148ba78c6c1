"""The methods of a file's consumers that are of the wrong kind, as the library warns when it runs them.

Only classes are looked at whose base is named in the file: an import from Channels or from this library, or a
class of the file that has such a base. A decorated method is left out: its decorator may make it right.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from compat.advice.hooks import AWAITED, HANDLING, async_text, plain_text, returns_nothing, string_text

__all__ = ["wrong_hooks"]

PACKAGES = ("channels", "compat")
MODULES_OF_CONSUMERS = tuple(
    f"{package}.generic.{module}" for package in PACKAGES for module in ("http", "websocket")
)
HTTP = {name for name in HANDLING if name.startswith("http_")}
OF_HTTP = frozenset({"handle", "disconnect", *HTTP})
OF_WEBSOCKETS = frozenset({"connect", "disconnect", "receive", *HANDLING} - HTTP)
OF_JSON = frozenset({*AWAITED, *OF_WEBSOCKETS} - {"handle"})


class Base(NamedTuple):
    """A consumer of the library."""

    sync: bool
    hooks: frozenset[str]


BASES = {
    "AsyncHttpConsumer": Base(sync=False, hooks=OF_HTTP),
    "AsyncJsonWebsocketConsumer": Base(sync=False, hooks=OF_JSON),
    "AsyncWebsocketConsumer": Base(sync=False, hooks=OF_WEBSOCKETS),
    "JsonWebsocketConsumer": Base(sync=True, hooks=OF_JSON),
    "WebsocketConsumer": Base(sync=True, hooks=OF_WEBSOCKETS),
}


def wrong_hooks(tree: ast.Module, bound: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yield the line of each method of the wrong kind, and what to say about it.

    ``bound`` has the names that imports bind in the file, with their dotted paths.
    """
    if not any(path.startswith(PACKAGES) for path in bound.values()):
        return
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for cls in classes.values():
        base = _base(cls, classes, bound, frozenset())
        if base is not None:
            for node in cls.body:
                text = _wrong(cls, base, node)
                if text:
                    yield node.lineno, text


def _base(
    cls: ast.ClassDef, classes: Mapping[str, ast.ClassDef], bound: Mapping[str, str], seen: frozenset[str]
) -> Base | None:
    for expression in cls.bases:
        first, _, rest = ast.unparse(expression).partition(".")
        module, _, name = f"{bound.get(first, first)}.{rest}".rstrip(".").rpartition(".")
        if module in MODULES_OF_CONSUMERS and name in BASES:
            return BASES[name]
        if not rest and first in classes and first not in seen and first not in bound:
            found = _base(classes[first], classes, bound, seen | {first})
            if found is not None:
                return found
    return None


def _wrong(cls: ast.ClassDef, base: Base, node: ast.stmt) -> str | None:
    """Return what to say about a statement of the class; None if nothing is wrong."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.name not in base.hooks or node.decorator_list:
            return None
        where = f"{cls.name}.{node.name}"
        if base.sync:
            return async_text(where, node.name) if isinstance(node, ast.AsyncFunctionDef) else None
        code = _code(node) if isinstance(node, ast.FunctionDef) else None
        return plain_text(where, node.name) if code is not None and returns_nothing(code) else None
    if not isinstance(node, ast.Assign) or base.hooks == OF_HTTP:
        return None
    value = node.value.value if isinstance(node.value, ast.Constant) else None
    named = any(isinstance(target, ast.Name) and target.id == "groups" for target in node.targets)
    return string_text(f"{cls.name}.groups", value) if named and value and isinstance(value, str) else None


def _code(node: ast.FunctionDef) -> types.CodeType | None:
    """Return the code of a function, None if it cannot be compiled by itself."""
    try:
        compiled = compile(ast.Module([node], []), "<hook>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    found = [
        one for one in compiled.co_consts if isinstance(one, types.CodeType) and one.co_name == node.name
    ]
    return found[0] if found else None
