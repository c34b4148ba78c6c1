"""``connect()`` with parameters, which FastAPI fills in like those of a websocket endpoint.

    class Room(AsyncWebsocketConsumer):
        async def connect(self, room: str, user: Annotated[User, Depends(current_user)], since: int = 0):
            ...

Path and query parameters, headers, cookies and ``Depends(...)`` work as in FastAPI, and so does
``app.dependency_overrides``. A dependency with ``yield`` ends with the connection. A plain ``connect(self)``,
as in Channels, does not use this module. FastAPI is imported when the first consumer with parameters runs.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from compat.codes import POLICY_VIOLATION
from compat.engine.problems import in_a_line
from compat.engine.redaction import hide_header, hide_parameter, hide_usual_parameters
from compat.engine.refusal import shown
from compat.types import Message, Receive, Scope, Send

__all__ = ["declares", "endpoint", "run"]

log = logging.getLogger("compat.consumer")

SOCKET = "websocket_of_the_consumer"
"""The name of the endpoint's WebSocket parameter, which is added to the parameters of ``connect()``."""

Make = Callable[[], Any]
"""Makes the consumer of one connection."""


def declares(consumer_class: type) -> bool:
    """Return True if ``connect()`` of this class has parameters for FastAPI to fill in.

    Such a parameter has no default, or is declared with ``Depends``, ``Query`` or the like. A
    ``connect(self, extra=None)`` is called without arguments, as in Channels.
    """
    connect = getattr(consumer_class, "connect", None)
    if not inspect.isfunction(connect):
        return False
    return any(map(_is_asked_for, list(inspect.signature(connect).parameters.values())[1:]))


def _is_asked_for(parameter: inspect.Parameter) -> bool:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return False
    default, annotation = parameter.default, parameter.annotation
    if default is inspect.Parameter.empty:
        return True
    marked = annotation if isinstance(annotation, str) else repr(annotation)
    return "Annotated[" in marked or type(default).__module__.partition(".")[0] == "fastapi"


async def run(consumer_class: type, make: Make, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the consumer that ``make()`` returns, after FastAPI has resolved the parameters of ``connect()``.

    If a parameter is missing or invalid, or a dependency raises an HTTPException or a WebSocketException, the
    client is refused: a server answers 403, a test sees the code of the WebSocketException, or 1008.
    """
    from starlette.exceptions import HTTPException, WebSocketException

    if scope["type"] != "websocket":
        await make()(scope, receive, send)
        return
    from fastapi.exceptions import WebSocketRequestValidationError

    route = _route(consumer_class, tuple(scope.get("path_params") or ()), scope.get("app"))
    answered = False

    async def sending(message: Message) -> None:
        nonlocal answered
        answered = True
        await send(message)

    code, cause = POLICY_VIOLATION, "a dependency raised an HTTPException"
    try:
        await route.app({**scope, "compat.consumer": make}, receive, sending)
    except WebSocketException as error:
        code, cause = error.code, f"a dependency raised {error!r:.300}"
    except HTTPException as error:
        cause = f"a dependency raised {error!r:.300}"
    except WebSocketRequestValidationError as error:
        cause = in_a_line(error.errors())
    if not answered:  # FastAPI's own handler of an HTTPException answers requests only
        name, path = consumer_class.__qualname__, shown(scope.get("path", ""))
        log.warning("websocket %s refused with 403: %s.connect(): %s", path, name, cause)
        await send({"type": "websocket.close", "code": code})


def endpoint(consumer_class: Any, **initkwargs: Any) -> Callable[..., Any]:
    """Return the consumer as a FastAPI endpoint function with the parameters of ``connect()``.

    ``initkwargs`` go to the consumer's constructor. Use it for a route that has dependencies::

        app.add_api_websocket_route("/ws/{room}", endpoint(Room), dependencies=[Depends(admit)])
    """
    from starlette.websockets import WebSocket

    async def consumer_endpoint(**values: Any) -> None:
        websocket: WebSocket = values.pop(SOCKET)
        scope = websocket.scope
        if "url_route" not in scope:
            scope["url_route"] = {"args": (), "kwargs": dict(scope.get("path_params") or {})}
        make = scope.pop("compat.consumer", None) or functools.partial(consumer_class, **initkwargs)
        consumer = make()
        if declares(consumer_class):
            consumer.connect = functools.partial(consumer.connect, **values)
        await consumer(scope, websocket.receive, websocket.send)

    socket = inspect.Parameter(SOCKET, inspect.Parameter.KEYWORD_ONLY, annotation=WebSocket)
    signature = inspect.Signature([*_parameters(consumer_class), socket])
    consumer_endpoint.__signature__ = signature  # type: ignore[attr-defined]
    if declares(consumer_class):
        _hide_credentials(consumer_endpoint)
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(consumer_endpoint, name, getattr(consumer_class, name))
    return consumer_endpoint


def _hide_credentials(function: Callable[..., Any]) -> None:
    """Hide the query parameters and headers that dependencies read from the servers' logs.

    Most of them identify a user. Parameters of ``connect()`` are hidden if their names are those of secrets.
    """
    hide_usual_parameters()
    from fastapi.dependencies.utils import get_dependant

    dependants = list(get_dependant(path="/", call=function).dependencies)
    while dependants:
        one = dependants.pop()
        dependants += one.dependencies
        for field in one.query_params:
            hide_parameter(field.alias)
        for field in one.header_params:
            hide_header(field.alias)
        scheme: Any = getattr(one.call, "model", None)  # of an APIKeyQuery, which reads the request itself
        if str(getattr(scheme, "in_", "")).endswith("query"):
            hide_parameter(scheme.name)


def _parameters(consumer_class: Any) -> list[inspect.Parameter]:
    """Return the parameters of ``connect()`` as keyword-only parameters, as FastAPI passes them."""
    if not declares(consumer_class):
        return []
    connect = consumer_class.connect
    try:
        signature = inspect.signature(connect, eval_str=True)
    except NameError as error:
        raise TypeError(
            f"the parameters of {consumer_class.__qualname__}.connect() cannot be read: {error}. FastAPI "
            "needs their types at run time: import them outside of TYPE_CHECKING, at the module's top"
        ) from error
    kind = inspect.Parameter.KEYWORD_ONLY
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, kind)
    own = list(signature.parameters.values())[1:]
    return [parameter.replace(kind=kind) for parameter in own if parameter.kind in named]


@functools.lru_cache(maxsize=1024)
def _route(consumer_class: type, path_params: tuple[str, ...], application: Any) -> Any:
    """Return a FastAPI route that only resolves parameters: it knows the path's names and the overrides."""
    try:
        from fastapi.routing import APIWebSocketRoute
    except ModuleNotFoundError as error:
        raise TypeError(
            f"{consumer_class.__qualname__}.connect() has parameters, which FastAPI fills in, and it is not "
            "installed: pip install 'channels-compat[fastapi]', or write connect(self)"
        ) from error
    path = "/" + "/".join(f"{{{name}}}" for name in path_params)
    overrides = application if hasattr(application, "dependency_overrides") else None
    return APIWebSocketRoute(path, endpoint(consumer_class), dependency_overrides_provider=overrides)
