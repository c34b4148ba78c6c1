"""The page's requests: its files, what it shows, what it looks for, watches and closes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from compat.clock import wall
from compat.engine.outage import RETRY_AFTER_S
from compat.engine.refusal import refuse, shown
from compat.exceptions import LayerUnavailable
from compat.fleet import part
from compat.layers import get_channel_layer
from compat.layers.base import require_group
from compat.live.asking import Answer, Answers, Exchange, Question
from compat.live.guard import Authenticate, Guard
from compat.live.looking import KINDS, MOST_FOUND, MOST_NAME, Overview, close_found, find
from compat.live.orders import Orders, Refused, audit
from compat.live.redacting import Rule
from compat.live.watching import TooMany, Watches
from compat.metrics import report_start
from compat.redis.waiting import SharedAnswer
from compat.resume.registry import registry
from compat.types import Receive, Scope, Send

__all__ = ["Page"]

MAX_BODY = 4096
EVERY_S = 1.0
"""How often all processes are asked for what they have, whoever looks."""
SHOWN_PEOPLE = 100
BAD_REQUEST, NOT_FOUND, NOT_ALLOWED, CONFLICT, TOO_LARGE, UNAVAILABLE = 400, 404, 405, 409, 413, 503
FILES = {
    "": ("live.html", "text/html; charset=utf-8"),
    "live.js": ("live.js", "text/javascript; charset=utf-8"),
    "live.css": ("live.css", "text/css; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_overview = Overview()


async def _answer(question: Question) -> Answer:
    """Answer a question about this process."""
    what, kind, name = question.get("what"), str(question.get("kind")), str(question.get("name"))
    if what == "overview":
        return await _overview.told()
    if what == "redeem":
        return _orders.redeem(question.get("token"), question.get("who"))
    if what == "find":
        return await find(kind, name)
    if what == "close":
        return await close_found(kind, name, int(question["code"]))
    return {}


_exchange = Exchange(_answer)
_orders = Orders(_exchange)
report_start(_exchange.start)


class Page:
    """The ASGI application; see ``compat.live.page``."""

    def __init__(self, authenticate: Authenticate, rule: Rule, alias: str) -> None:
        self._guard = Guard(authenticate)
        self._watches = Watches(rule)
        self._alias = alias
        self._shown = SharedAnswer(_now, EVERY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the last part of its path says for what."""
        if scope["type"] != "http":
            return await refuse(scope, receive, send, NOT_FOUND, "There is no websocket here.\n")
        with contextlib.suppress(ClientDisconnect):
            response = await self.response(Request(scope, receive))
            await response(scope, receive, send)

    async def response(self, request: Request) -> Response:
        """Return the response to one request; raises ClientDisconnect."""
        try:
            response = await self._response(request)
        except HTTPException as error:
            response = PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    async def _response(self, request: Request) -> Response:
        name = request.scope["path"].rpartition("/")[2]
        asked = {"now": self.now, "find": self.find, "watch": self.watch, "close": self.close}.get(name)
        if name not in FILES and asked is None:
            raise HTTPException(NOT_FOUND, "There is nothing of this name")
        method = "POST" if name == "close" else "GET"
        if request.method != method:
            raise HTTPException(NOT_ALLOWED, f"Expected {method}", {"Allow": method})
        who = await self._guard.who(request, from_elsewhere=name == "")
        if asked is None:
            file, media_type = FILES[name]
            return Response(_file(file), media_type=media_type)
        return await asked(request, who)

    async def now(self, request: Request, who: str) -> Response:
        """Return what all processes have; those who ask within a second get the same answer."""
        return Response(await self._shown.get(), media_type="application/json")

    async def find(self, request: Request, who: str) -> Response:
        """Return the sockets of ``?user=``, ``?group=`` or ``?channel=``, and who is present in the group."""
        kind, name = _asked_for(request)
        answers = await _exchange.ask({"what": "find", "kind": kind, "name": name})
        sockets, count = [], 0
        for process in answers.found.processes:
            given = answers.given.get(process.id, {})
            count += given["count"] if isinstance(given.get("count"), int) else 0
            listed = given.get("sockets")
            told = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            sockets += [{**one, "process": process.name} for one in told]
        found = {
            "kind": kind,
            "name": name,
            "count": count,
            "sockets": sockets[:MOST_FOUND],
            "silent": answers.silent,
            "whole": answers.found.whole,
            "people": await self._people(name) if kind == "group" else None,
        }
        return JSONResponse(found)

    async def _people(self, group: str) -> dict[str, Any] | None:
        """Return the first of those who are present in a group, and how many they are, if the layer knows."""
        layer: Any = get_channel_layer(self._alias)
        rules = getattr(layer, "presence_rules", None)
        if not rules or rules.of(group) is None:
            return None
        try:
            people = await layer.presence(group)
        except (LayerUnavailable, TypeError):
            return None
        return {"count": len(people), "first": sorted(people)[:SHOWN_PEOPLE]}

    async def watch(self, request: Request, who: str) -> Response:
        """Return what is sent to ``?group=``, as server-sent events."""
        layer: Any = get_channel_layer(self._alias)
        kind, group = _asked_for(request)
        if kind != "group" or layer is None:
            raise HTTPException(BAD_REQUEST, "Expected a group, and an application with a channel layer")
        if registry.stopping:
            raise HTTPException(UNAVAILABLE, "The server is about to stop", {"Connection": "close"})
        try:
            require_group(layer, group)
        except TypeError as error:
            raise HTTPException(BAD_REQUEST, str(error)) from error
        stack = contextlib.AsyncExitStack()
        try:
            events = await stack.enter_async_context(self._watches.watch(layer, group))
        except TooMany as error:
            raise _later("As many watch already as may") from error
        except LayerUnavailable as error:
            raise _later("The layer's Redis cannot be reached") from error
        address = _address(request)
        audit.warning(
            *("%s watches the group %s, from %s", shown(who), shown(group), address),
            extra={"by": who, "address": address, "action": "watch", "group": group},
        )
        return _Stream(stack, events)

    async def close(self, request: Request, who: str) -> Response:
        """Take ``{"kind", "name"}``, or ``{"confirm"}`` with what the answer to that has confirmed it by."""
        content = await _json(request)
        try:
            if isinstance(token := content.get("confirm"), str):
                return JSONResponse(await _orders.carry_out(who, token, _address(request)))
            return JSONResponse(await _orders.prepare(who, content.get("kind"), content.get("name")))
        except Refused as error:
            return JSONResponse({"problem": str(error)}, CONFLICT)
        except LayerUnavailable as error:
            raise _later(f"Nothing was closed: {error}") from error


class _Stream(StreamingResponse):
    """A response that leaves its contexts when it is over, also if it has not begun."""

    def __init__(self, stack: contextlib.AsyncExitStack, events: AsyncIterator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self.headers["X-Accel-Buffering"] = "no"  # nginx would keep the events back
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _now() -> bytes:
    answers = await _exchange.ask({"what": "overview"})
    told = {"at": wall(), "whole": answers.found.whole, "processes": _processes(answers)}
    return json.dumps(told, ensure_ascii=True, separators=(",", ":"), default=str).encode()


def _processes(answers: Answers) -> list[dict[str, Any]]:
    return [
        {
            "name": process.name,
            "began": process.began,
            "at": process.at,
            "connections": part(process.counters, "connections"),
            "layers": part(process.counters, "layers"),
            "resumable": part(process.counters, "resumable"),
            "has": answers.given.get(process.id),
        }
        for process in answers.found.processes
    ]


def _asked_for(request: Request) -> tuple[str, str]:
    given = [(kind, request.query_params[kind]) for kind in KINDS if kind in request.query_params]
    if len(given) != 1 or not 0 < len(given[0][1]) <= MOST_NAME:
        raise HTTPException(
            BAD_REQUEST, f"Expected one of {', '.join(KINDS)}, with at most {MOST_NAME} characters"
        )
    return given[0]


async def _json(request: Request) -> dict[str, Any]:
    """Return a body: an object as JSON, with its content type, which pages of other sites cannot send."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(BAD_REQUEST, "Expected Content-Type: application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(TOO_LARGE, f"Expected at most {MAX_BODY} bytes")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(BAD_REQUEST, "Expected JSON") from error
    if not isinstance(content, dict):
        raise HTTPException(BAD_REQUEST, "Expected an object")
    return content


def _address(request: Request) -> str:
    return shown(request.client.host) if request.client is not None else "an unknown address"


def _later(why: str) -> HTTPException:
    return HTTPException(UNAVAILABLE, why, {"Retry-After": str(RETRY_AFTER_S)})


@cache
def _file(name: str) -> bytes:
    return (files("compat.live") / "files" / name).read_bytes()
