"""Why an ASGI application is no endpoint, told to the frameworks that ask for an endpoint's signature.

FastAPI reads an endpoint's parameters to find out what to pass it. Given an ASGI application, it took
``scope``, ``receive`` and ``send`` for parameters of the query and then refused every handshake without a
word. The signature below says what such an object is called with, in types that have no schema and say why:
so FastAPI (any version that uses pydantic 2) fails while the route is added, with the call that works.
``inspect``, Sphinx and Starlette see an ordinary signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

from compat.handlers import complaint

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
    """The same for consumers, whose classes are no endpoints either.

    A class has the signature of its constructor, with a type at ``*args`` that FastAPI cannot use.
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
    """The three arguments of ASGI, also where one ``WebSocket`` of Starlette was given for them.

    Starlette's ``add_websocket_route()`` says that it takes functions of a WebSocket, and takes applications.
    What is often given to it can be called either way, and so is no complaint of a type checker.
    """
    if receive is None and hasattr(scope, "scope"):
        return scope.scope, scope.receive, scope.send
    return scope, receive, send


def makes_application(method: F) -> F:
    """``as_asgi`` of a class, which says what to write when it is called as if it were the application."""

    @functools.wraps(method)
    def as_asgi(cls: Any, *connection: Any, **initkwargs: Any) -> Any:
        if connection:
            raise TypeError(complaint(getattr(cls, method.__name__)))
        return method(cls, **initkwargs)

    reason = (
        "as_asgi is not an endpoint: it makes the application. Write as_asgi(), with parentheses, and add it "
        "by app.router.add_websocket_route(path, Consumer.as_asgi())"
    )
    signature = inspect.signature(method)
    own, initkwargs = signature.parameters.values()
    parameters = [own, initkwargs.replace(annotation=_argument(reason))]
    as_asgi.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return cast("F", as_asgi)


def explain(application: object) -> str:
    """What to write instead of giving ``application`` to FastAPI as an endpoint."""
    consumer = getattr(application, "consumer_class", None)
    name = f"{consumer.__qualname__}.as_asgi()" if consumer is not None else type(application).__qualname__
    return (
        f"{name} is an ASGI application, not an endpoint: FastAPI cannot call it, and would refuse every "
        f"connection. Add it as a route of its own, app.router.add_websocket_route(path, {name}), or give "
        f"starlette.routing.WebSocketRoute(path, {name}) to FastAPI(routes=[...]). add_api_websocket_route, "
        "@app.websocket and Depends are for functions"
    )


def _argument(reason: str) -> type:
    """A type for which pydantic can make no schema, because of ``reason``."""

    def refuse(cls: type, source: Any, handler: Any) -> NoReturn:
        raise TypeError(reason)

    return type("ASGIArgument", (), {"__get_pydantic_core_schema__": classmethod(refuse)})
