"""The pages: the lobby, the form's target, the room.

They are ``def``, which FastAPI calls in threads: a template on a slow disk would hold the event loop.
"""

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
def lobby(request: Request) -> Response:
    """Show the lobby: a form for a name and a room, and the rooms with people in them."""
    return lobby_page(request)


@router.get("/rooms/")
def enter(request: Request, room: str = "") -> Response:
    """Redirect the form of the lobby to the room, or show what is wrong with the room's name."""
    wanted = rooms.tidy(room)
    problem = rooms.problem_with(wanted)
    if problem:
        return lobby_page(request, wanted, problem, status=400)
    return RedirectResponse(request.url_for("room", room=wanted), status_code=302)


@router.get("/rooms/{room}/")
def room(request: Request, room: str) -> Response:
    problem = rooms.problem_with(room)
    if problem:
        return lobby_page(request, room, problem, status=404)
    socket = f"/ws/rooms/{quote(room, safe='')}/"
    page = {**sockets(request), "room": room, "socket": socket, "group": rooms.group_of(room)}
    return templates.TemplateResponse(
        request, "chat/room.html", {"room": room, "page": page, "max_name": rooms.MAX_NAME}
    )


def lobby_page(request: Request, room: str = "", problem: str | None = None, status: int = 200) -> Response:
    context = {"page": sockets(request), "room": room, "problem": problem, "max_name": rooms.MAX_NAME}
    return templates.TemplateResponse(request, "chat/lobby.html", context, status_code=status)


def sockets(request: Request) -> dict[str, Any]:
    """Return the addresses that the scripts of every page need, and the group of everybody."""
    enter = request.url_for("enter").path
    return {"lobbySocket": "/ws/lobby/", "enter": enter, "everybody": rooms.EVERYBODY}
