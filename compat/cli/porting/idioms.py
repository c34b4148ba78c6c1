"""Rewriting of dotted names in strings, and of routes of FastAPI apps.

"BACKEND": "channels.layers.InMemoryChannelLayer"  "BACKEND": "compat.layers.InMemoryChannelLayer"
patch("channels.layers.get_channel_layer")       patch("compat.layers.get_channel_layer")
app = FastAPI(); app.add_websocket_route(…)      app.router.add_websocket_route(…)
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from compat.cli.porting.judge import new_text
from compat.cli.porting.namesakes import without
from compat.cli.porting.nodes import dotted, text_of, with_text
from compat.cli.porting.references import references_of

__all__ = ["Routes", "with_new_strings"]

LINE_END = re.compile(r"\r\n|\r|\n")
ROUTERS = {"FastAPI": ".router", "APIRouter": ""}
ADDS = {"add_websocket_route", "add_api_websocket_route"}


class Strings(cst.CSTTransformer):
    """Rewrites strings. ``new``: the new values by line, column and value; ``lines``: those of the file."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, new: Mapping[tuple[int, int, str], str], lines: Sequence[str]) -> None:
        super().__init__()
        self._lines = lines
        self._new = new

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        value = text_of(original_node)
        if value is None:
            return updated_node
        place: Any = self.get_metadata(PositionProvider, original_node)
        line: int = place.start.line
        column = len(self._lines[line - 1][: place.start.column].encode())
        new = self._new.get((line, column, value))
        return with_text(updated_node, new) if new else updated_node


def with_new_strings(module: cst.Module, kept: Container[str] = ()) -> cst.Module:
    """Return the module with new names in the strings that are dotted paths: BACKEND, patches, imports by
    name. Those of the packages in ``kept`` stay.
    """
    found = without(references_of(module.bytes), kept).texts
    new = {(one.line, one.column, one.value): new for one in found if one.is_path and (new := new_text(one))}
    lines = LINE_END.split(module.code)
    return MetadataWrapper(module).visit(Strings(new, lines)) if new else module


class Routes(cst.CSTTransformer):
    """Rewrites routes to consumers: FastAPI has no ``add_websocket_route`` any more."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def visit_Module(self, node: cst.Module) -> None:
        made = _Made()
        node.visit(made)
        self._made = made.names

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        owner, _, method = (dotted(updated_node.func) or "").rpartition(".")
        made = self._made.get(owner)
        if made is None or method not in ADDS or not _adds_a_consumer(updated_node, method):
            return updated_node
        where = f"{owner}{ROUTERS[made]}.add_websocket_route"
        if dotted(updated_node.func) == where:
            return updated_node
        return updated_node.with_changes(func=_on_router(updated_node.func, ROUTERS[made]))


class _Made(cst.CSTVisitor):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def visit_Assign(self, node: cst.Assign) -> None:
        if isinstance(node.value, cst.Call):
            self._note(node.targets[0].target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if isinstance(node.value, cst.Call):
            self._note(node.target, node.value)

    def _note(self, target: cst.BaseExpression, call: cst.Call) -> None:
        made = (dotted(call.func) or "").rpartition(".")[2]
        name = dotted(target)
        if made in ROUTERS and name is not None:
            self.names[name] = made


def _adds_a_consumer(call: cst.Call, method: str) -> bool:
    """Return True if a call adds a consumer; add_api_websocket_route is right for functions, wrong for
    consumers.
    """
    if method == "add_websocket_route":
        return True
    return any(
        isinstance(arg.value, cst.Call) and (dotted(arg.value.func) or "").endswith(".as_asgi")
        for arg in call.args
    )


def _on_router(func: cst.BaseExpression, router: str) -> cst.BaseExpression:
    """Return ``app.router.add_websocket_route`` with the expression of the app."""
    assert isinstance(func, cst.Attribute)
    value = cst.Attribute(func.value, cst.Name(router[1:])) if router else func.value
    return func.with_changes(value=value, attr=cst.Name("add_websocket_route"))
