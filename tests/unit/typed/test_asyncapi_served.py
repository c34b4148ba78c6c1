"""The document and its page over HTTP; what the official parser says of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount

from compat.patterns import path
from compat.routing import URLRouter
from compat.typed.asyncapi import (
    add_asyncapi,
    asyncapi_app,
    asyncapi_docs,
    asyncapi_spec_json,
    asyncapi_spec_yaml,
    document,
)
from compat.typed.asyncapi.kept import kept
from compat.typed.asyncapi.schemas import MessageSchemas
from compat.typed.asyncapi.views import render_page
from compat.typed.asyncapi.yaml import to_yaml
from compat.typed.config import config
from tests.support.clients import get
from tests.support.paths import REPO
from tests.support.servers import Address, LiveServer
from tests.unit.typed.room import Room
from tests.unit.typed.test_asyncapi import Doing
from tests.unit.typed.test_topics import Console

ROOM: Any = Room.as_asgi()
PARSER = "3.6.3"
"""The version of @asyncapi/parser that judges."""


def an_app() -> FastAPI:
    app = FastAPI(title="House")
    for address, consumer in (("/ws/{room}", Room), ("/doing", Doing), ("/console", Console)):
        app.router.add_websocket_route(address, consumer.as_asgi())
    return app


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    app = an_app()
    add_asyncapi(app)
    with LiveServer(app) as live:
        yield live


def test_json_and_yaml(server: Address) -> None:
    answer = get(server, "/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    made = answer.json()
    assert made["asyncapi"] == "3.0.0"
    assert made["servers"] == {"default": {"host": f"127.0.0.1:{server.port}", "protocol": "ws"}}
    assert list(made["channels"]) == ["room", "doing", "console", "console_run", "console_team"]
    answer = get(server, "/asyncapi.yaml")
    assert answer.headers["content-type"] == "application/yaml"
    assert answer.text.startswith('asyncapi: "3.0.0"\n')


@pytest.mark.parametrize("address", ["/asyncapi/", "/asyncapi"])
def test_the_page_needs_nothing_from_elsewhere(server: Address, address: str) -> None:
    answer = get(server, address)
    assert answer.headers["content-type"].startswith("text/html")
    html = answer.text
    assert "<title>House API</title>" in html
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)
    assert "import " not in html.partition('<script type="module"')[2].partition(">")[2][:200]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    (nonce,) = re.findall(r"script-src 'nonce-([\w-]+)'", policy)
    assert html.count(f'nonce="{nonce}"') == 3
    assert get(server, address).headers["content-security-policy"] != policy


def test_a_document_cannot_break_out_of_the_page() -> None:
    evil = "</script><script>alert(1)</script><!--"
    made = {"asyncapi": "3.0.0", "info": {"title": evil, "version": "1"}, "channels": {}, "operations": {}}
    html = render_page(made, {}, "n")
    assert "<script>alert(1)" not in html
    data = html.partition('type="application/json" nonce="n">')[2].partition("</script>")[0]
    assert json.loads(data)["document"]["info"]["title"] == evil


def test_a_document_does_not_show_routes_of_its_own_in_openapi() -> None:
    app = an_app()
    add_asyncapi(app, "/docs/ws", {"title": "Named", "version": "9", "server_url": "chat.example"})
    assert not app.openapi()["paths"]
    with LiveServer(app) as live:
        made = get(live, "/docs/ws.json").json()
        assert made["info"] == {"title": "Named", "version": "9", "tags": made["info"]["tags"]}
        assert made["servers"]["default"]["host"] == "chat.example"
        assert "/docs/ws.json" in get(live, "/docs/ws/").text


def test_routes_that_are_added_later_are_in_it() -> None:
    app = FastAPI()
    add_asyncapi(app)
    with LiveServer(app) as live:
        assert get(live, "/asyncapi.json").json()["channels"] == {}
        app.router.add_websocket_route("/late", ROOM)
        assert list(get(live, "/asyncapi.json").json()["channels"]) == ["room"]


def test_a_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request took 100 ms and more of the processor, whoever sent it."""
    made: list[Any] = []
    make = MessageSchemas.__init__

    def counted(self: MessageSchemas, *args: Any) -> None:
        made.append(self)
        make(self, *args)

    monkeypatch.setattr(MessageSchemas, "__init__", counted)
    app = FastAPI(title="Made once")
    app.router.add_websocket_route("/ws/{room}", ROOM)
    add_asyncapi(app)
    with LiveServer(app) as live:
        for host in ("one.example", "two.example:81", "one.example", "no"):
            found = get(live, "/asyncapi.json", host=host).json()
            assert found["servers"] == {"default": {"host": host, "protocol": "ws"}}
            assert list(found)[3] == "servers"
            text = get(live, "/asyncapi.yaml", host=host).text
            assert text == to_yaml(found)
            assert json.dumps(host) in get(live, "/asyncapi/", host=host).text
        assert len(made) == 1
        app.title = "Another one"
        assert get(live, "/asyncapi.json").json()["info"]["title"] == "Another one API"


def test_endpoints_of_ones_own() -> None:
    app = an_app()

    @app.get("/spec.json")
    async def spec(request: Request) -> Any:
        return await asyncapi_spec_json(request=request, app=app)

    @app.get("/spec.yaml")
    async def yaml(request: Request) -> Any:
        return await asyncapi_spec_yaml(request, app, {"title": "Mine"})

    @app.get("/page")
    async def page(request: Request) -> Any:
        return await asyncapi_docs(request, app=app, config={"server_protocol": "wss"})

    with LiveServer(app) as live:
        assert "room" in get(live, "/spec.json").json()["channels"]
        assert "title: Mine" in get(live, "/spec.yaml").text
        assert '"protocol": "wss"' in get(live, "/page").text


def test_any_application_is_documented_by_another_one() -> None:
    router = URLRouter([path("ws/<room>/", ROOM)])
    app = Starlette(routes=[Mount("/help", app=asyncapi_app(router, "/sockets"))])
    with LiveServer(app) as live:
        made = get(live, "/help/sockets.json").json()
        assert made["channels"]["room"]["address"] == "/ws/{room}/"
        assert "pathname" not in made["servers"]["default"]
        assert "/help/sockets.json" in get(live, "/help/sockets/").text


def test_a_prefix_that_a_proxy_takes_off_is_the_servers() -> None:
    app = an_app()
    add_asyncapi(app)
    with LiveServer(app, root_path="/behind") as live:
        assert get(live, "/asyncapi.json").json()["servers"]["default"]["pathname"] == "/behind"
        assert "/behind/asyncapi.json" in get(live, "/asyncapi/").text


def test_what_has_no_routes_is_told_what_to_use() -> None:
    with pytest.raises(TypeError, match=r"not URLRouter; for another application, mount asyncapi_app"):
        add_asyncapi(URLRouter([]))


# The official parser


@pytest.fixture(scope="session")
def parser() -> Path:
    """A folder with @asyncapi/parser, installed once from npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("@asyncapi/parser needs node and npm")
    folder = REPO / ".cache" / f"asyncapi-parser-{PARSER}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            f"@asyncapi/parser@{PARSER}",
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        (folder / "complete").touch()
    return folder


JUDGE = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
import yaml from "js-yaml";
const parsed = [];
for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, "utf8");
  const { document, diagnostics } = await new Parser().parse(text);
  parsed.push({
    valid: document !== undefined,
    complaints: diagnostics.filter((one) => one.code !== "asyncapi-latest-version").map((one) => one.message),
    read: yaml.load(text),
  });
}
console.log(JSON.stringify(parsed));
"""


def test_documents_are_valid_by_the_official_parser(server: Address, parser: Path, tmp_path: Path) -> None:
    files = []
    for name in ("asyncapi.json", "asyncapi.yaml"):
        file = tmp_path / name
        file.write_text(get(server, f"/{name}").text, encoding="utf-8")
        files.append(str(file))
    judge = parser / "judge.mjs"
    judge.write_text(JUDGE)
    done = subprocess.run(
        ["node", str(judge), *files], cwd=parser, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    as_json, as_yaml = json.loads(done.stdout)
    assert (as_json["valid"], as_json["complaints"]) == (True, [])
    assert (as_yaml["valid"], as_yaml["complaints"]) == (True, [])
    assert as_json["read"] == as_yaml["read"]


def test_a_document_follows_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: the first document was served, whatever `config` said later."""
    app = an_app()
    plain = kept(app, None, None, None).document({})
    monkeypatch.setattr(config, "camelize", True)
    assert kept(app, None, None, None).document({}) == {**document(app), "servers": {}} != plain
