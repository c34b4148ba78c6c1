"""The pages: the lobby, the way into a room, the room."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from . import rooms

__all__ = ["router"]

router = APIRouter(default_response_class=HTMLResponse)
templates = Jinja2Templates(Path(__file__).parent.parent / "templates")


@router.get("/")
async def lobby(request: Request) -> Response:
    """Pick a name and a room; see which rooms have people in them."""
    return lobby_page(request)


@router.get("/rooms/")
async def enter(request: Request, room: str = "") -> Response:
    """Where the lobby's form leads: on to the room, or back with a word on what is wrong with its name."""
    wanted = rooms.tidy(room)
    problem = rooms.problem_with(wanted)
    if problem:
        return lobby_page(request, wanted, problem, status=400)
    return RedirectResponse(request.url_for("room", room=wanted), status_code=302)


@router.get("/rooms/{room}/")
async def room(request: Request, room: str) -> Response:
    problem = rooms.problem_with(room)
    if problem:
        return lobby_page(request, room, problem, status=404)
    page = {**sockets(request), "room": room, "socket": f"/ws/rooms/{quote(room, safe='')}/"}
    return templates.TemplateResponse(
        request, "chat/room.html", {"room": room, "page": page, "max_name": rooms.MAX_NAME}
    )


def lobby_page(request: Request, room: str = "", problem: str | None = None, status: int = 200) -> Response:
    context = {"page": sockets(request), "room": room, "problem": problem, "max_name": rooms.MAX_NAME}
    return templates.TemplateResponse(request, "chat/lobby.html", context, status_code=status)


def sockets(request: Request) -> dict[str, Any]:
    """What the scripts of every page need to know."""
    return {"lobbySocket": "/ws/lobby/", "enter": request.url_for("enter").path}
