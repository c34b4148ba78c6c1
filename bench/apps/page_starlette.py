"""The page of a chat room on Starlette and Jinja2. The view is a plain function, as Django's is."""

from __future__ import annotations

from pathlib import Path

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

DJANGOS = '{{ room_name|json_script:"room-name" }}'
JINJAS = '<script id="room-name" type="application/json">{{ room_name|tojson }}</script>'

source = (Path(__file__).parent / "templates" / "page.html").read_text()
loader = jinja2.DictLoader({"page.html": source.replace(DJANGOS, JINJAS)})
templates = Jinja2Templates(env=jinja2.Environment(loader=loader, autoescape=True))


def room(request: Request) -> Response:
    """The page."""
    return templates.TemplateResponse(request, "page.html", {"room_name": request.path_params["room_name"]})


app = Starlette(routes=[Route("/chat/{room_name}/", room)])
