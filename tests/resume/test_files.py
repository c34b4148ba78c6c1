"""The page's files over HTTP: their size, types and headers, and where a router answers them."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import compat.client
from compat.client import hashed
from compat.client.page import NAMES
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.testing import HttpCommunicator
from compat.types import Receive, Scope, Send
from tests.support.apps import App
from tests.support.clients import Client, Refused
from tests.support.logs import recorded
from tests.support.npm import needs_node, npm_package
from tests.support.servers import LiveServer

MOST_BYTES = 7 * 1024
"""Of one file, compressed."""
PLAIN = {name: file.body for name, file in NAMES.items()}


class Answer:
    """A response whose headers are read by name."""

    def __init__(self, response: Any) -> None:
        self.status: int = response["status"]
        self.body: bytes = response["body"]
        self.headers = {name.decode(): value.decode() for name, value in response["headers"]}


async def get(app: Any, path: str, method: str = "GET", **headers: str) -> Answer:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Answer(await HttpCommunicator(app, method, path, headers=raw).get_response())


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"page {scope['path']}")(scope, receive, send)


ROUTER = ProtocolTypeRouter({"http": pages})


# What is in them


@pytest.mark.parametrize("name", ["socket.js", "socket.mjs"])
def test_j5_a_file_is_small(name: str) -> None:
    for level in (6, 9):  # the default of most tools, and ours
        assert len(gzip.compress(PLAIN[name], level)) <= MOST_BYTES


@pytest.mark.parametrize("name", ["socket.js", "socket.mjs"])
def test_j5_node_takes_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PLAIN[name])
    subprocess.run([needs_node(), "--check", str(path)], check=True)


PARSE = """
const { parse } = await import(process.argv[1]);
const { readFileSync } = await import("node:fs");
const [file, sourceType] = process.argv.slice(2);
parse(readFileSync(file, "utf8"), { ecmaVersion: 2020, sourceType });
"""


@pytest.mark.parametrize(("name", "kind"), [("socket.js", "script"), ("socket.mjs", "module")])
def test_j5_it_is_es2020(name: str, kind: str, tmp_path: Path) -> None:
    acorn = npm_package("acorn", "8.15.0") / "dist" / "acorn.mjs"
    path = tmp_path / name
    path.write_bytes(PLAIN[name])
    command = [needs_node(), "--input-type=module", "-e", PARSE, str(acorn), str(path), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# How they are answered


@pytest.mark.parametrize("name", sorted(NAMES))
async def test_j5_headers(name: str) -> None:
    answer = await get(compat.client.files, f"/{name}")
    assert (answer.status, answer.body) == (200, PLAIN[name])
    is_hashed = name in (hashed("socket.js"), hashed("socket.mjs"))
    assert answer.headers == {
        "access-control-allow-origin": "*",
        "cache-control": "public, max-age=31536000, immutable" if is_hashed else "no-cache",
        "content-length": str(len(PLAIN[name])),
        "content-type": "text/javascript; charset=utf-8",
        "etag": NAMES[name].etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize("known", ["{}", "*", '"other", {}', "W/{}"])
async def test_j5_what_a_browser_has_is_not_sent_again(known: str) -> None:
    etag = NAMES["socket.js"].etag
    answer = await get(compat.client.files, "/socket.js", if_none_match=known.format(etag.removeprefix("W/")))
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == etag and answer.headers["cache-control"] == "no-cache"
    assert "content-type" not in answer.headers and "content-length" not in answer.headers


async def test_j5_an_older_file_is_replaced() -> None:
    answer = await get(compat.client.files, "/socket.js", if_none_match='"other"')
    assert (answer.status, answer.body) == (200, PLAIN["socket.js"])


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("br", False)],
)
async def test_compressed_for_those_who_take_it(accepted: str, is_compressed: bool) -> None:
    answer = await get(compat.client.files, "/socket.mjs", accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == ("gzip" if is_compressed else None)
    assert answer.headers["content-length"] == str(len(answer.body))
    body = gzip.decompress(answer.body) if is_compressed else answer.body
    assert body == PLAIN["socket.mjs"]


async def test_head_is_get_without_the_body() -> None:
    head = await get(compat.client.files, "/socket.js", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == (await get(compat.client.files, "/socket.js")).headers


async def test_other_names_and_methods() -> None:
    assert (await get(compat.client.files, "/socket-0123456789abcdef.js")).status == 404
    assert (await get(compat.client.files, "/")).status == 404
    answer = await get(compat.client.files, "/socket.js", "POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    with pytest.raises(ValueError, match="not 'lifespan'"):
        await compat.client.files({"type": "lifespan"}, *NOTHING)


def test_a_handshake_is_refused_without_a_traceback() -> None:
    """It was an error 500, as often as anybody liked."""
    app = Starlette(routes=[Mount("/_channels", compat.client.files)])
    with LiveServer(app) as live, recorded() as log, pytest.raises(Refused) as refused:
        Client(live, "/_channels/socket.js")
    assert refused.value.status == 403 and not any(one.exc_info for one in log.kept)


NOTHING: Any = (None, None)


# Where they are


@pytest.mark.parametrize("name", sorted(NAMES))
async def test_a_router_answers_them_before_its_pages(name: str) -> None:
    assert (await get(ROUTER, f"/_channels/{name}")).body == PLAIN[name]
    assert (await get(ROUTER, f"/_channels/{name}", "HEAD")).body == b""


@pytest.mark.parametrize(
    "path",
    ["/socket.js", "/_channels/", "/_channels/socket.ts", "/_channels/x/socket.js", "/x/_channels/socket.js"],
)
async def test_everything_else_goes_on_to_the_pages(path: str) -> None:
    assert (await get(ROUTER, path)).body == f"page {path}".encode()


async def test_other_methods_go_on_to_the_pages() -> None:
    assert (await get(ROUTER, "/_channels/socket.js", "POST")).body == b"page /_channels/socket.js"


async def test_a_router_without_pages_answers_them_too() -> None:
    router = ProtocolTypeRouter({"websocket": URLRouter([])})
    assert (await get(router, "/_channels/socket.js")).status == 200


async def test_a_router_below_a_mount_answers_them_below_it() -> None:
    app = Starlette(routes=[Mount("/site", ROUTER), Route("/_channels/socket.js", pages_of_another)])
    assert (await get(app, "/site/_channels/socket.js")).body == PLAIN["socket.js"]
    assert (await get(app, "/site/x")).body == b"page /site/x"
    assert (await get(app, "/_channels/socket.js")).body == b"another"


async def pages_of_another(_: Any) -> PlainTextResponse:
    return PlainTextResponse("another")


async def test_root_path_of_the_server() -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        await ROUTER({**scope, "root_path": "/behind"}, receive, send)

    assert (await get(behind, "/behind/_channels/socket.js")).body == PLAIN["socket.js"]
    assert (await get(behind, "/_channels/socket.js")).body.startswith(b"page ")


async def test_in_an_application_of_ones_own() -> None:
    app = Starlette(routes=[Mount("/_channels", compat.client.files)])
    assert (await get(app, f"/_channels/{hashed('socket.mjs')}")).body == PLAIN["socket.mjs"]
    assert (await get(app, "/_channels/other.js")).status == 404


async def test_sockets_of_that_path_are_the_applications() -> None:
    router = ProtocolTypeRouter({"websocket": App("sockets"), "http": App("pages")})
    scope = {"type": "websocket", "path": "/_channels/socket.js", "method": "GET"}
    assert await router(scope, *NOTHING) == "sockets"
