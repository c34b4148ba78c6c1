"""Reads a request to publish, with limits that hold for the application's dependencies too."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message as ASGIMessage

from compat.json_size import has_more_values
from compat.publish.bodies import wrong

__all__ = ["MAX_BODY", "MAX_VALUES", "TOO_LARGE", "BoundedRoute"]

MAX_BODY, MAX_VALUES = 2**20, 50_000
"""The most bytes of a request, and about how many values its JSON may have."""
BAD_REQUEST, TOO_LARGE = 400, 413
BODY = ["body"]


class BoundedRoute(APIRoute):
    """A route whose request has at most ``MAX_BODY`` bytes, and a ``json()`` that costs little."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            read = 0

            async def receive() -> ASGIMessage:
                nonlocal read
                message = await request.receive()
                read += len(message.get("body", b""))
                if read > MAX_BODY:
                    raise HTTPException(TOO_LARGE, f"The body is longer than {MAX_BODY} bytes")
                return message

            try:
                answer: Response = await handle(_Bounded(request.scope, receive))
            except ClientDisconnect as error:
                raise HTTPException(BAD_REQUEST, "The client left before the end of the body") from error
            return answer

        return bounded


class _Bounded(Request):
    """A request whose JSON is parsed once, for the application's dependencies and for the route."""

    async def json(self) -> Any:
        """Return the value of the body; raise Unprocessable, before it is parsed if that would take long."""
        if not hasattr(self, "_parsed"):
            if not _is_json(self.headers.get("content-type", "")):
                raise wrong(BODY, "expected the Content-Type application/json")
            self._parsed = _value_of(await self.body())
        return self._parsed


def _is_json(content_type: str) -> bool:
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def _value_of(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8 with at most ``MAX_VALUES``; raise Unprocessable."""
    try:
        text = body.decode("utf-8-sig")
        if not has_more_values(text, MAX_VALUES):
            return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise wrong(BODY, "the JSON is nested too deeply") from error
    except ValueError as error:
        raise wrong(BODY, f"expected JSON in UTF-8: {error}") from error
    raise wrong(BODY, f"expected at most {MAX_VALUES} values; send the messages in several requests")


def _no_number(text: str) -> NoReturn:
    """Raise ValueError: browsers cannot read the JSON that a consumer would make of it."""
    raise ValueError(f"{text[:20]} is no number of JSON")


def _finite(text: str) -> float:
    """Return a number; raise ValueError for one such as 1e999, which would be infinite."""
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)
