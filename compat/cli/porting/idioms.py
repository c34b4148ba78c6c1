"""Rewriting of dotted names in strings, of apps in settings, and of routes of FastAPI apps.

"channels_redis.core.RedisChannelLayer"          "compat.layers.redis.core.RedisChannelLayer"
INSTALLED_APPS = ["daphne", "channels", …]       INSTALLED_APPS = ["django_shim.with_django", …]
patch("channels.layers.get_channel_layer")       patch("compat.layers.get_channel_layer")
app = FastAPI(); app.add_websocket_route(…)      app.router.add_websocket_route(…)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libcst as cst

from compat.cli.moves import APPS, SHIMMED, WITH_DJANGO
from compat.cli.porting.judge import MODULE_CALLS, DjangoNames, library_of
from compat.cli.porting.references import DOTTED
from compat.cli.porting.rewrite import dotted, new_home

__all__ = ["Apps", "Routes", "Strings", "replaced_apps"]

LOGGERS = {"getLogger", "get_logger"}
ROUTERS = {"FastAPI": ".router", "APIRouter": ""}
ADDS = {"add_websocket_route", "add_api_websocket_route"}


def _text(node: cst.CSTNode) -> str | None:
    """Return the value of a plain string literal, or None for any other node."""
    if not isinstance(node, cst.SimpleString) or "f" in node.prefix or "b" in node.prefix:
        return None
    value = node.evaluated_value
    return value if isinstance(value, str) else None


def _with_text(node: cst.SimpleString, value: str) -> cst.SimpleString:
    return node.with_changes(value=f"{node.prefix}{node.quote}{value}{node.quote}")


class Strings(cst.CSTTransformer):
    """Rewrites strings that contain a dotted name of the table: BACKEND, patches, imports by name."""

    def __init__(self) -> None:
        self._calls: list[str] = []

    def visit_Call(self, node: cst.Call) -> None:
        self._calls.append((dotted(node.func) or "").rpartition(".")[2])

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        self._calls.pop()
        return updated_node

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        value = _text(original_node)
        target = value and self._target(value, self._calls[-1] if self._calls else "")
        return _with_text(updated_node, target) if target else updated_node

    def _target(self, value: str, call: str) -> str | None:
        library = library_of(value)
        # Django's names in settings stay: they resolve in the real Django and in the subset.
        if library in (None, "django") or "." not in value or not DOTTED.match(value) or call in LOGGERS:
            return None
        if call in MODULE_CALLS:
            home = new_home(value, None, DjangoNames.keep)
            return home.module if home else None
        module, _, name = value.rpartition(".")
        if value in APPS:
            return None
        home = new_home(module, name, DjangoNames.keep)
        return f"{home.module}.{home.name}" if home else None


class Apps(cst.CSTTransformer):
    """Rewrites ``INSTALLED_APPS`` and its parts: our app replaces "daphne" and "channels".

    ``replaced``: the entries that our app replaces; other entries of ``APPS`` are removed. ``missing``: the
    settings of the project have none of these entries, so our app is added in front.
    """

    def __init__(self, replaced: frozenset[str], *, missing: bool) -> None:
        self._replaced = replaced
        self._missing = missing

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        names = [dotted(target.target) or "" for target in updated_node.targets]
        if not any(_is_apps(name) for name in names) or not isinstance(
            updated_node.value, cst.List | cst.Tuple
        ):
            return updated_node
        first = self._missing and "INSTALLED_APPS" in names
        return updated_node.with_changes(value=self._apps(updated_node.value, first))

    def leave_AugAssign(self, original_node: cst.AugAssign, updated_node: cst.AugAssign) -> cst.AugAssign:
        if _is_apps(dotted(updated_node.target) or "") and isinstance(
            updated_node.value, cst.List | cst.Tuple
        ):
            return updated_node.with_changes(value=self._apps(updated_node.value, False))
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        owner, _, method = (dotted(updated_node.func) or "").rpartition(".")
        if not _is_apps(owner) or method not in ("append", "insert"):
            return updated_node
        return updated_node.with_changes(
            args=[
                arg.with_changes(value=_with_text(arg.value, WITH_DJANGO))
                if isinstance(arg.value, cst.SimpleString) and _text(arg.value) in self._replaced
                else arg
                for arg in updated_node.args
            ]
        )

    def _apps(self, node: Any, first: bool) -> Any:
        elements: list[cst.BaseElement] = []
        present = any(_text(element.value) == WITH_DJANGO for element in node.elements)
        for element in node.elements:
            value = _text(element.value)
            if value not in APPS:
                elements.append(element)
            elif value in self._replaced and not present:
                elements.append(element.with_changes(value=_with_text(element.value, WITH_DJANGO)))
                present = True
        if first and not present:
            elements.insert(0, _like(elements, node))
        return node.with_changes(elements=_ended(elements, node.elements))


def _is_apps(name: str) -> bool:
    return name.isupper() and name.endswith("APPS")


def _like(elements: Sequence[cst.BaseElement], node: Any) -> cst.BaseElement:
    """Return a first element, formatted like the others."""
    quote = next((one.value.quote for one in elements if isinstance(one.value, cst.SimpleString)), '"')
    value = cst.SimpleString(f"{quote}{WITH_DJANGO}{quote}")
    comma: Any = cst.MaybeSentinel.DEFAULT
    if elements:
        space: Any = getattr(node, "lbracket", None) or node.lpar[-1]
        after = space.whitespace_after
        if isinstance(after, cst.SimpleWhitespace) and not after.value:
            after = cst.SimpleWhitespace(" ")
        comma = cst.Comma(whitespace_after=after)
    return cst.Element(value, comma)


def _ended(elements: list[cst.BaseElement], before: Sequence[cst.BaseElement]) -> list[cst.BaseElement]:
    """Give the last element the comma, and the comment behind it, that the former last element had."""
    if elements and before and elements[-1] is not before[-1]:
        elements[-1] = elements[-1].with_changes(comma=before[-1].comma)
    return elements


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


def replaced_apps(present: frozenset[str]) -> frozenset[str]:
    """Return the entries of ``present`` that our app replaces."""
    daphne = frozenset(name for name in present if name.partition(".")[0] == SHIMMED[2])
    return daphne or frozenset(name for name in present if name in APPS)
