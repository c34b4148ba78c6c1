"""The pages of the showcase, one for each part."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.templating import Jinja2Templates

from layers import REDIS_URL

__all__ = ["STATIC", "router"]

HERE = Path(__file__).resolve().parent.parent
STATIC = HERE / "static"
router = APIRouter(prefix="/showcase", default_response_class=HTMLResponse)
templates = Jinja2Templates(HERE / "templates")


@router.get("/", name="showcase")
def overview(request: Request) -> Response:
    return page(request, "overview")


@router.get("/room/", name="showcase_room")
def room(request: Request) -> Response:
    return page(request, "room")


@router.get("/streams/", name="showcase_streams")
def streams(request: Request) -> Response:
    return page(request, "streams")


@router.get("/jobs/", name="showcase_jobs")
def jobs(request: Request) -> Response:
    return page(request, "jobs")


def page(request: Request, name: str) -> Response:
    return templates.TemplateResponse(
        request, f"showcase/{name}.html", {"part": name, "on_redis": bool(REDIS_URL)}
    )
