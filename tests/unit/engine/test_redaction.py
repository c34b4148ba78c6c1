"""What servers log of what clients send: no token."""

from __future__ import annotations

import logging
from typing import Annotated
from urllib.parse import quote

import pytest
from fastapi import Depends, FastAPI, Query, WebSocket
from fastapi.security import APIKeyQuery
from starlette.routing import WebSocketRoute

from compat.engine.redaction import Redacting
from compat.fastapi import endpoint
from compat.generic.websocket import AsyncWebsocketConsumer
from tests.support.clients import Client, get
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until

SECRET = "s3cr3t"


def redacting(*names: str) -> Redacting:
    made = Redacting()
    made.parameters.update(names)
    return made


@pytest.mark.parametrize(
    "token",
    [SECRET, f"a'{SECRET}", f'a"{SECRET}', f"'{SECRET}'", f"%27{SECRET}", f"a,{SECRET}", f"a={SECRET}"],
)
@pytest.mark.parametrize(
    "line",
    [
        "/ws?token={}",
        "/ws?a=1&token={}&b=2",
        "/ws?TOKEN={}",
        "/ws?%74oken={}",
        '127.0.0.1:1 - "WebSocket /ws?token={}" [accepted]',
        '127.0.0.1:1 - "GET /ws?b=1&token={} HTTP/1.1" 200',
        "{{'query_string': b'token={}', 'headers': []}}",
    ],
)
def test_faults_security_small_redaction_goes_on_at_a_quote(line: str, token: str) -> None:
    cleaned = redacting("token").clean(line.format(token))
    assert SECRET not in cleaned and "=..." in cleaned
    if "b=" in line:
        assert "b=1" in cleaned or "b=2" in cleaned


class Counting(Redacting):
    """Counts the characters that it looks at."""

    looked = 0

    def clean(self, text: str) -> str:
        self.looked += len(text)
        return super().clean(text)


def a_record(target: str) -> logging.LogRecord:
    args = ("127.0.0.1:1", "GET", target, "1.1", 200)
    return logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', args, None)


def test_a_line_without_secrets_is_read_once() -> None:
    """A query of 60 kB held the event loop for 40 to 70 ms."""
    counting = Counting()
    counting.parameters.add("token")
    for target, times in (("/ws?" + "a=b&" * 1000, 1), ("/ws?token=abc&" + "a=b&" * 1000, 3)):
        counting.looked, record = 0, a_record(target)
        length = len(record.getMessage())
        assert counting.filter(record) and isinstance(record.args, tuple)
        assert length <= counting.looked <= times * length
        assert record.args[2] == target.replace("abc", "...")


def test_faults_security_small_redaction_leaves_the_rest() -> None:
    line = '127.0.0.1:1 - "GET /ws?since=3&name=token HTTP/1.1" 200'
    assert redacting("token").clean(line) == line
    once = redacting("token").clean('"WebSocket /ws?token=abc" [accepted]')
    assert redacting("token").clean(once) == once


def test_faults_security_small_redaction_of_an_argument_and_then_the_line() -> None:
    record = logging.LogRecord(
        "x", 20, "x", 1, '%s - "WebSocket %s" [accepted]', ("1", f"/w?token=a'{SECRET}"), None
    )
    redacting("token").filter(record)
    assert record.getMessage() == '1 - "WebSocket /w?token=..." [accepted]'


async def current_user(token: str = "") -> str:
    return token or "nobody"


async def by_badge(user: Annotated[str, Depends(current_user)], badge: Annotated[str, Query()] = "") -> str:
    return badge


class Room(AsyncWebsocketConsumer):
    async def connect(
        self,
        room: str,
        user: Annotated[str, Depends(by_badge)],
        key: Annotated[str, Depends(APIKeyQuery(name="mykey", auto_error=False))],
        since: int = 0,
        jwt: str = "",
    ) -> None:
        await self.accept()


def application() -> FastAPI:
    app = FastAPI(routes=[WebSocketRoute("/ws/{room}", Room.as_asgi())])
    app.add_api_websocket_route("/ws2/{room}", endpoint(Room), dependencies=[Depends(current_user)])

    @app.websocket("/ws3/{room}")
    async def plain(websocket: WebSocket, user: Annotated[str, Depends(current_user)]) -> None:
        await websocket.accept()

    @app.get("/page")
    async def page(user: Annotated[str, Depends(current_user)]) -> str:
        return "page"

    return app


@pytest.mark.parametrize("path", ["/ws/x", "/ws2/x", "/ws3/x", "/page"])
def test_faults_newcomer_06_what_depends_reads_is_not_logged(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="uvicorn")
    names = ["token"] if path in ("/ws3/x", "/page") else ["token", "badge", "mykey", "jwt"]
    query = "&".join(f"{name}=a'{quote(name)}{SECRET}" for name in names)
    with recorded(logging.INFO) as records, LiveServer(application(), log_level="info") as server:
        if path == "/page":
            assert get(server, f"{path}?since=3&{query}").status_code == 200
        else:
            Client(server, f"{path}?since=3&{query}").close()
        until(lambda: any(path in text for text in records.messages()), "the request is logged")
    assert SECRET not in "\n".join(records.messages())
    assert any("since=3" in text and "token=..." in text for text in records.messages())
