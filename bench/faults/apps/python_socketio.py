"""The same chat on python-socketio."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bench.faults.apps.notes import PING_S, PONG_S, gate, note, text_of

REDIS = os.environ.get("FAULTS_REDIS", "")
server = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    client_manager=socketio.AsyncRedisManager(REDIS) if REDIS else None,
    ping_interval=PING_S,
    ping_timeout=PONG_S,
)


@server.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    who = parse_qs(environ["QUERY_STRING"])["who"][0]
    note("connect", who)
    await server.save_session(sid, {"who": who})
    await server.enter_room(sid, who)


@server.event
async def disconnect(sid: str) -> None:
    note("disconnect", (await server.get_session(sid))["who"])


@server.event
async def message(sid: str, text: str) -> None:
    who = (await server.get_session(sid))["who"]
    kind, _, number = text.partition(" ")
    note("got", who, int(number))
    if kind == "wait":
        await gate(who)
        note("answered", who, int(number))
        await server.emit("message", number, to=sid)


async def say(request: Request) -> PlainTextResponse:
    """Send a range of numbers to a room."""
    query = request.query_params
    for number in range(int(query["first"]), int(query["last"])):
        await server.emit("message", text_of(number, int(query["size"])), room=query["room"])
    return PlainTextResponse("ok")


app = socketio.ASGIApp(server, Starlette(routes=[Route("/say", say)]))
