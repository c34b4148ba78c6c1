"""A reverse proxy as offices have them: it knows no websockets, and passes a response on when it is whole."""

from __future__ import annotations

import httpx
from starlette.requests import Request
from starlette.responses import Response

from compat.types import Receive, Scope, Send
from tests.support.servers import Address

__all__ = ["HoldingProxy"]

OF_THE_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding")


class HoldingProxy:
    """An ASGI application in front of `target`."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.asked: list[str] = []
        """What the header Channels-Transport said, by request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        request = Request(scope, receive)
        self.asked.append(request.headers.get("channels-transport", ""))
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=None) as client:
            answer = await client.request(
                request.method,
                self.target.http(request.url.path),
                params=request.query_params,
                headers=[pair for pair in request.headers.items() if pair[0] not in OF_THE_HOP],
                content=await request.body(),
            )
        headers = {name: value for name, value in answer.headers.items() if name not in OF_THE_HOP}
        headers.pop("content-encoding", None)
        await Response(answer.content, answer.status_code, headers)(scope, receive, send)
