"""Errors for an ASGI application that is given to FastAPI as an endpoint.

FastAPI would treat ``scope``, ``receive`` and ``send`` of an ASGI application as query parameters, and refuse
every handshake without an error. Here these parameters have annotations for which pydantic 2 cannot make a
schema: adding the route fails, and the error shows the right call. ``inspect``, Sphinx and Starlette see an
ordinary signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

from compat.advice.handlers import complaint

__all__ = ["ASGISignature", "ConsumerSignature", "connection_of", "explain", "makes_application"]

F = TypeVar("F", bound=Callable[..., Any])
PARAMETERS = ("scope", "receive", "send")


class ASGISignature:
    """A descriptor for ``__signature__`` of classes whose instances are ASGI applications.

    The class itself keeps the signature of its constructor.
    """

    def __get__(self, instance: object | None, owner: type) -> inspect.Signature:
        if instance is None:
            raise AttributeError("__signature__")
        argument = _argument(explain(instance))
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind, annotation=argument) for name in PARAMETERS])


class ConsumerSignature(ASGISignature):
    """The descriptor for consumers, whose classes are not endpoints either.

    The signature of the class is that of its constructor, with a type at ``*args`` that FastAPI cannot use.
    """

    def __get__(self, instance: object | None, owner: type) -> inspect.Signature:
        if instance is not None:
            return super().__get__(instance, owner)
        constructor: Any = owner.__init__  # type: ignore[misc]
        if constructor is object.__init__:
            raise AttributeError("__signature__")
        name = owner.__qualname__
        argument = _argument(
            f"{name} is a consumer's class, not an endpoint. Write app.router.add_websocket_route(path, "
            f"{name}.as_asgi()); for a route with dependencies, app.add_api_websocket_route(path, "
            f"endpoint({name})) of compat.fastapi"
        )
        signature = inspect.signature(constructor)
        return signature.replace(
            parameters=[
                one.replace(annotation=argument) if one.kind is one.VAR_POSITIONAL else one
                for one in list(signature.parameters.values())[1:]
            ],
            return_annotation=signature.empty,
        )


def connection_of(scope: Any, receive: Any, send: Any) -> tuple[Any, Any, Any]:
    """Return scope, receive and send; also if the only argument is a ``WebSocket`` of Starlette.

    The annotations of Starlette's ``add_websocket_route()`` require a function of a WebSocket, although it
    accepts applications. Applications that can be called either way pass type checkers.
    """
    if receive is None and hasattr(scope, "scope"):
        return scope.scope, scope.receive, scope.send
    return scope, receive, send


def makes_application(method: F) -> F:
    """Decorate ``as_asgi`` so that a call with a connection, as if it were the application, raises a clear
    TypeError.
    """

    @functools.wraps(method)
    def as_asgi(cls: Any, *connection: Any, **initkwargs: Any) -> Any:
        if connection:
            raise TypeError(complaint(getattr(cls, method.__name__)))
        return method(cls, **initkwargs)

    reason = (
        "as_asgi is not an endpoint: it returns the application. Write as_asgi(), with parentheses, and add "
        "it by app.router.add_websocket_route(path, Consumer.as_asgi())"
    )
    signature = inspect.signature(method)
    own, initkwargs = signature.parameters.values()
    parameters = [own, initkwargs.replace(annotation=_argument(reason))]
    as_asgi.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return cast("F", as_asgi)


def explain(application: object) -> str:
    """Return the error text for an ``application`` that is given to FastAPI as an endpoint."""
    consumer = getattr(application, "consumer_class", None)
    name = f"{consumer.__qualname__}.as_asgi()" if consumer is not None else type(application).__qualname__
    return (
        f"{name} is an ASGI application, not an endpoint: FastAPI cannot call it, and would refuse every "
        f"connection. Add it as a route of its own, app.router.add_websocket_route(path, {name}), or give "
        f"starlette.routing.WebSocketRoute(path, {name}) to FastAPI(routes=[...]). add_api_websocket_route, "
        "@app.websocket and Depends are for functions"
    )


def _argument(reason: str) -> type:
    """Return a type for which pydantic cannot make a schema; it raises TypeError with ``reason``."""

    def refuse(cls: type, source: Any, handler: Any) -> NoReturn:
        raise TypeError(reason)

    return type("ASGIArgument", (), {"__get_pydantic_core_schema__": classmethod(refuse)})
