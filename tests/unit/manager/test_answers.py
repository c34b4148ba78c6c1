"""``add_exception_handlers``: what requests and websockets are answered where an endpoint raises an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import Route

from compat.manager import BaseError, add_exception_handlers
from compat.manager.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BackendError,
    ConnectionError,
    MessageError,
    RateLimitError,
    SystemError,
    TimeoutError,
    ValidationError,
)
from tests.support.clients import Client, Refused, get
from tests.support.logs import recorded
from tests.support.servers import LiveServer


class Teapot(BaseError):
    http_status = 418
    ws_code = 4418


ERRORS: dict[str, BaseError] = {
    "authentication": AuthenticationError(),
    "authorization": AuthorizationError(),
    "backend": BackendError("redis://10.0.0.7 is away", cause=OSError("refused")),
    "connection": ConnectionError("too many", ws_code=1013),
    "message": MessageError(),
    "rate": RateLimitError(details={"retry_after": 1.2}),
    "system": SystemError(cause=ValueError("why")),
    "teapot": Teapot("short and stout"),
    "timeout": TimeoutError(),
    "unknown": BaseError(),
    "validation": ValidationError(),
}
OUTAGE = ConnectionError("not now", ws_code=1013, cause=BackendError())
"""What ``connect()`` of the manager raises while Redis is away."""
STATUS = {
    "authentication": 401,
    "authorization": 403,
    "backend": 503,
    "connection": 503,
    "message": 400,
    "rate": 429,
    "system": 500,
    "teapot": 418,
    "timeout": 504,
    "unknown": 500,
    "validation": 400,
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    app = FastAPI()
    add_exception_handlers(app)

    @app.get("/{name}")
    def fail(name: str) -> None:
        raise ERRORS[name]

    @app.websocket("/early/{name}")
    async def early(websocket: WebSocket, name: str) -> None:
        raise OUTAGE if name == "outage" else ERRORS[name]

    @app.websocket("/late/{name}")
    async def late(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        raise ERRORS[name]

    @app.websocket("/gone/{name}")
    async def gone(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.close(1000)
        raise ERRORS[name]

    with LiveServer(app) as running:
        yield running


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_request_gets_the_errors_status_and_frame(server: LiveServer, name: str) -> None:
    answer = get(server, f"/{name}")
    assert answer.status_code == STATUS[name]
    told = answer.json()
    assert (told["type"], told["error_code"]) == ("error", ERRORS[name].error_code)
    assert "10.0.0.7" not in answer.text
    assert answer.headers.get("retry-after") == ("2" if name == "rate" else None)


def test_serious_errors_are_logged_with_their_cause(server: LiveServer) -> None:
    with recorded() as records:
        for name in sorted(ERRORS):
            get(server, f"/{name}")
    logged = [record for record in records.kept if record.name == "compat.manager"]
    assert [record.getMessage().rpartition("path ")[2] for record in logged] == [
        "'/backend')",
        "'/connection')",
        "'/system')",
    ]
    assert ERRORS["system"].context.error_id in logged[2].getMessage()
    assert logged[2].exc_info and "why" in str(logged[2].exc_info[1])
    assert not logged[0].exc_info and "10.0.0.7" in logged[0].getMessage()


def test_a_websocket_is_refused_or_closed(server: LiveServer) -> None:
    with recorded() as records:
        for name, status in {"outage": 503, "connection": 403, "teapot": 403}.items():
            with pytest.raises(Refused) as refused:
                Client(server, f"/early/{name}")
            assert refused.value.status == status
        for name, end in {
            "teapot": (4418, "short and stout"),
            "backend": (1011, "The message backend is not available"),
            "connection": (1013, "too many"),
        }.items():
            assert Client(server, f"/late/{name}").wait_closed() == end
        assert Client(server, "/gone/teapot").wait_closed() == (1000, "")
    assert not [text for text in records.messages() if not text.startswith("compat.manager ERROR")]


def test_starlette_without_fastapi() -> None:
    def fail(request: Any) -> None:
        raise ERRORS["authorization"]

    app = Starlette(routes=[Route("/", fail)])
    add_exception_handlers(app)
    with LiveServer(app) as server:
        assert get(server, "/").status_code == 403
