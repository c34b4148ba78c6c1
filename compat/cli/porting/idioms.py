"""Rewriting of dotted names in strings, and of routes of FastAPI apps.

"channels_redis.core.RedisChannelLayer"          "compat.layers.redis.core.RedisChannelLayer"
patch("channels.layers.get_channel_layer")       patch("compat.layers.get_channel_layer")
app = FastAPI(); app.add_websocket_route(…)      app.router.add_websocket_route(…)
"""

from __future__ import annotations

import libcst as cst

from compat.cli.moves import APPS
from compat.cli.porting.judge import MODULE_CALLS, DjangoNames, library_of
from compat.cli.porting.references import DOTTED
from compat.cli.porting.rewrite import dotted, new_home, text_of, with_text

__all__ = ["Routes", "Strings"]

LOGGERS = {"getLogger", "get_logger"}
ROUTERS = {"FastAPI": ".router", "APIRouter": ""}
ADDS = {"add_websocket_route", "add_api_websocket_route"}


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
        value = text_of(original_node)
        target = value and self._target(value, self._calls[-1] if self._calls else "")
        return with_text(updated_node, target) if target else updated_node

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
