"""The document and its page over HTTP: ``/asyncapi.json``, ``/asyncapi.yaml`` and ``/asyncapi/``.

    add_asyncapi(app)                      # in a FastAPI or Starlette application
    Mount("/docs", asyncapi_app(router))   # for any other application

The page has no references to other servers: its style and script are files of this package.
"""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, TypedDict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from compat.typed.asyncapi.document import document
from compat.typed.asyncapi.kept import Kept, kept

__all__ = [
    "AsyncAPIConfig",
    "add_asyncapi",
    "asyncapi_app",
    "asyncapi_docs",
    "asyncapi_spec_json",
    "asyncapi_spec_yaml",
    "generate_asyncapi_schema",
    "render_page",
]


class AsyncAPIConfig(TypedDict, total=False):
    """Values for the document; the application provides those that are left out."""

    title: str
    version: str
    description: str
    server_url: str
    """host:port of the server; default: the host of the request."""
    server_protocol: str
    """"ws" or "wss"; default: by the scheme of the request."""
    servers: dict[str, dict[str, Any]]
    """AsyncAPI Server Objects by name, instead of the two above."""


async def asyncapi_spec_json(
    request: Request, app: Any, config: AsyncAPIConfig | None = None
) -> JSONResponse:
    """Answer with the document of ``app`` as JSON."""
    made = await _kept(app, config)
    return JSONResponse(made.document(_servers(request, config)))


async def asyncapi_spec_yaml(request: Request, app: Any, config: AsyncAPIConfig | None = None) -> Response:
    """Answer with the document of ``app`` as YAML."""
    made = await _kept(app, config)
    text = await run_in_threadpool(made.yaml, _servers(request, config))
    return Response(text, media_type="application/yaml")


async def asyncapi_docs(request: Request, app: Any, config: AsyncAPIConfig | None = None) -> HTMLResponse:
    """Answer with the page: the messages of each consumer, and a panel to send them."""
    made = await _kept(app, config)
    return _page_response(made.document(_servers(request, config)))


async def _kept(app: Any, config: AsyncAPIConfig | None) -> Kept:
    """Make the document in a thread: that takes long enough for other clients to notice."""
    given: AsyncAPIConfig = config or {}
    return await run_in_threadpool(
        kept, app, given.get("title"), given.get("version"), given.get("description")
    )


def add_asyncapi(app: Any, path: str = "/asyncapi", config: AsyncAPIConfig | None = None) -> None:
    """Serve the document of ``app``, a FastAPI or Starlette application, and its page, under ``path``.

    The routes are ``<path>.json``, ``<path>.yaml``, ``<path>/`` and ``<path>``. The document includes routes
    that are added later.
    """
    router = getattr(app, "router", None)
    if router is None or not hasattr(router, "routes"):
        raise TypeError(
            f"add_asyncapi() takes a FastAPI or Starlette application, not {type(app).__name__}; for another "
            "application, mount asyncapi_app(application)"
        )
    router.routes.extend(_routes(app, path, config))


def asyncapi_app(app: Any, path: str = "/asyncapi", config: AsyncAPIConfig | None = None) -> Router:
    """Return an application that serves the document and the page of ``app``."""
    return Router(_routes(app, path, config))


def _routes(app: Any, path: str, config: AsyncAPIConfig | None) -> list[Route]:
    path = "/" + path.strip("/")

    async def as_json(request: Request) -> Response:
        return await asyncapi_spec_json(request, app, config)

    async def as_yaml(request: Request) -> Response:
        return await asyncapi_spec_yaml(request, app, config)

    async def page(request: Request) -> Response:
        base = request.scope.get("root_path", "") + path
        links = {"JSON": f"{base}.json", "YAML": f"{base}.yaml"}
        made = await _kept(app, config)
        return _page_response(made.document(_servers(request, config)), links)

    return [
        Route(f"{path}.json", as_json, name="asyncapi_json", include_in_schema=False),
        Route(f"{path}.yaml", as_yaml, name="asyncapi_yaml", include_in_schema=False),
        Route(f"{path}/", page, name="asyncapi_docs", include_in_schema=False),
        Route(path, page, include_in_schema=False),
    ]


def generate_asyncapi_schema(
    request: Request, app: Any, config: AsyncAPIConfig | None = None
) -> dict[str, Any]:
    """Return the document of ``app`` as JSON values; its server is the host of ``request``."""
    given: AsyncAPIConfig = config or {}
    return document(
        app,
        title=given.get("title"),
        version=given.get("version"),
        description=given.get("description"),
        servers=_servers(request, config),
    )


def _servers(request: Request, config: AsyncAPIConfig | None) -> dict[str, dict[str, Any]]:
    given: AsyncAPIConfig = config or {}
    if servers := given.get("servers"):
        return servers
    protocol = given.get("server_protocol") or {"https": "wss"}.get(request.url.scheme, "ws")
    server = {"host": given.get("server_url") or request.url.netloc, "protocol": protocol}
    # The root_path precedes the routes of the app: the prefix of a proxy or of a mount.
    root_path = request.scope.get("app_root_path", request.scope.get("root_path", "")).rstrip("/")
    if root_path:
        server["pathname"] = root_path
    return {"default": server}


def _page_response(made: Mapping[str, Any], links: Mapping[str, str] | None = None) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'"
    )
    return HTMLResponse(render_page(made, links, nonce), headers={"Content-Security-Policy": policy})


def render_page(made: Mapping[str, Any], links: Mapping[str, str] | None = None, nonce: str = "") -> str:
    """Return the page for a document. ``links``: labels and addresses of the other formats."""
    data = json.dumps({"document": made, "links": links or {}}, ensure_ascii=False)
    # "<" could end the script element or begin a comment; in JSON it occurs only in strings.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    page = _asset("page.html")
    for name, text in (
        ("title", html.escape(str(made["info"]["title"]))),
        ("nonce", nonce),
        ("style", _asset("page.css")),
        ("script", _asset("page.js")),
        ("data", data),
    ):
        page = page.replace(f"<!--{name}-->", text)
    return page


@cache
def _asset(name: str) -> str:
    return (files("compat.typed.asyncapi") / "page" / name).read_text(encoding="utf-8")
