"""An ASGI application, with a page that says what its process has counted.

It is served as ``tests.support.counted:application``. COUNTED names it, as uvicorn does; ``/counts`` is the
page. PAGES, if it is there, is a folder whose files are answered below ``/pages/``.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse

from compat.metrics import snapshot

__all__ = ["application"]

_module, _, _attribute = os.environ["COUNTED"].partition(":")
_inner = getattr(importlib.import_module(_module), _attribute)
_sockets = {"live": 0, "most": 0, "total": 0}
_heard: list[str] = []


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await _inner(scope, *_counted(receive, send))
    elif scope["type"] == "http" and scope["path"] == "/counts":
        counts = snapshot()
        body = {"sockets": _sockets, "heard": _heard, "consumers": counts["connections"]["total"]}
        await JSONResponse({**body, "resumable": counts["resumable"]})(scope, receive, send)
    elif scope["type"] == "http" and scope["path"].startswith("/pages/"):
        page = Path(os.environ["PAGES"], Path(scope["path"]).name).read_text(encoding="utf-8")
        await HTMLResponse(page)(scope, receive, send)
    else:
        await _inner(scope, receive, send)


def _counted(receive: Any, send: Any) -> tuple[Any, Any]:
    """A socket is live from its acceptance to the end of either side."""
    live = False

    def over() -> None:
        nonlocal live
        _sockets["live"] -= live
        live = False

    async def noted_receive() -> Any:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            over()
        elif message["type"] == "websocket.receive":
            _heard.append(message.get("text") or "")
        return message

    async def noted_send(message: Any) -> None:
        nonlocal live
        if message["type"] == "websocket.accept":
            live = True
            _sockets["total"] += 1
            _sockets["live"] += 1
            _sockets["most"] = max(_sockets["most"], _sockets["live"])
        elif message["type"] == "websocket.close":
            over()
        await send(message)

    return noted_receive, noted_send
