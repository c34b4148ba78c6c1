"""The status router: who may see it, what it says, and its page's websocket."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from compat import metrics
from compat.manager import ConnectionManager, WSConfig, status_router
from compat.manager.connections.origin import OriginCheck
from compat.manager.connections.upkeep import Upkeep
from compat.manager.status.prometheus import prometheus_text
from compat.manager.status.tickets import TICKET_S, check_ticket, make_ticket
from compat.settings import override
from tests.support.clients import Client, Refused, get
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.unit.manager.conftest import MakeManager


@contextmanager
def serve(
    manager: ConnectionManager, debug: bool = False, *args: Any, **options: Any
) -> Iterator[LiveServer]:
    """An app with the router, and with connections at /ws/<user>."""
    app = FastAPI(debug=debug)
    app.include_router(status_router(*args, manager=manager, **options))

    @app.websocket("/ws/{user}")
    async def endpoint(websocket: WebSocket, user: str) -> None:
        async with manager.session(websocket, user) as connection:
            await manager.join_group(connection, "lobby")
            while True:
                await manager.send_to_group("lobby", await websocket.receive_json())

    with LiveServer(app, log_level="info") as server:
        yield server


@pytest.fixture
def manager() -> ConnectionManager:
    return ConnectionManager(ws_config=WSConfig(SERVER_INSTANCE_ID='the "one"'))


PATHS = ("/status", "/status/metrics", "/status/live", "/status/ticket")


def test_refused_outside_debug(manager: ConnectionManager) -> None:
    with serve(manager) as server:
        for path in PATHS:
            answer = get(server, path)
            assert answer.status_code == 403 and "Depends(is_admin)" in answer.json()["detail"]
        with override(DEBUG=True):
            assert {get(server, path).status_code for path in PATHS} == {200}


def test_a_dependency_decides(manager: ConnectionManager) -> None:
    basic = HTTPBasic()

    def is_admin(request: Request, credentials: HTTPBasicCredentials = Depends(basic)) -> None:  # noqa: B008
        if (credentials.username, credentials.password) != ("admin", "pass"):
            raise HTTPException(403, "no")

    for dependency in (is_admin, Depends(is_admin)):
        with serve(manager, False, dependency) as server:
            assert {get(server, path).status_code for path in PATHS} == {401}
            admin = {"Authorization": "Basic YWRtaW46cGFzcw=="}
            assert {get(server, path, **admin).status_code for path in PATHS} == {200}
            ticket = get(server, "/status/ticket", **admin).json()["ticket"]
            with Client(server, f"/status/socket?ticket={ticket}") as page:
                assert page.receive_json()["backend"] == "memory"
    with pytest.raises(TypeError, match="takes a dependency"):
        status_router("admin")


def test_the_socket_wants_a_ticket(manager: ConnectionManager) -> None:
    with serve(manager, debug=True) as server, recorded() as records:
        for ticket in ("", "x", "1.x", f"{int(time.time()) + 50}.{'0' * 64}"):
            with pytest.raises(Refused):
                Client(server, f"/status/socket?ticket={ticket}")
    assert all("has no ticket" in line for line in records.messages()) and len(records.kept) == 4


def test_faults_security_small_ticket_is_good_once_and_for_its_own_page(
    manager: ConnectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="uvicorn")
    with serve(manager, debug=True) as server, recorded() as records:

        def refused(ticket: str, **options: Any) -> str:
            with pytest.raises(Refused) as error:
                Client(server, f"/status/socket?ticket={ticket}", **options)
            assert error.value.status == 403
            return [line for line in records.messages() if "status page" in line][-1]

        ticket = get(server, "/status/ticket").json()["ticket"]
        others = [
            "http://evil.example",
            "null",
            "http://127.0.0.1",
            f"{server.origin}.evil.example",
            "http://[",
        ]
        for origin in others:
            assert "that of another site" in refused(ticket, origin=origin)
        with Client(server, f"/status/socket?ticket={ticket}") as page:
            assert page.receive_json()["connections"] == 0
        assert "used already" in refused(ticket)
        assert "used already" in refused(ticket, origin=None)
        tickets = {get(server, "/status/ticket").json()["ticket"] for _ in range(3)}
        assert len(tickets) == 3
        for another in tickets:
            Client(server, f"/status/socket?ticket={another}", origin=None).close()
        manager._origins = OriginCheck(["https://behind.example"])
        last = get(server, "/status/ticket").json()["ticket"]
        Client(server, f"/status/socket?ticket={last}", origin="https://behind.example").close()
        logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "/status/socket?ticket=..." in logged
    assert not any(one in logged for one in (ticket, last, *tickets))


async def test_faults_security_small_ticket_is_claimed_once_on_all_servers(make_manager: MakeManager) -> None:
    one, two = make_manager(), make_manager()
    backends = [one.backend, two.backend if one.backend.kind == "redis" else one.backend]
    assert [await backend.claim("x", 60) for backend in backends] == [True, False]
    assert await backends[1].claim("y", 60) and not await backends[0].claim("y", 60)


def test_tickets_end() -> None:
    ticket = make_ticket(b"secret", 1000)
    assert check_ticket(b"secret", ticket, 1000) and check_ticket(b"secret", ticket, 1000 + TICKET_S)
    assert not check_ticket(b"secret", ticket, 1001 + TICKET_S)
    assert not check_ticket(b"other", ticket, 1000) and not check_ticket(b"secret", "", 1000)
    later = f"9999.{ticket.partition('.')[2]}"
    assert not check_ticket(b"secret", later, 1000)


def test_what_it_says(manager: ConnectionManager) -> None:
    with (
        serve(manager, debug=True) as server,
        Client(server, "/ws/alice") as alice,
        Client(server, "/ws/bob"),
    ):
        alice.send_json({"n": 1})
        assert alice.receive_json() == {"n": 1}
        status = get(server, "/status").json()
        assert (status["connections"], status["users"], status["groups"]) == (2, 2, 1)
        assert status["largest_groups"] == {"lobby": 2} and status["backend"] == "memory"
        assert status["people"] == {"lobby": ["alice", "bob"]}
        [shown] = status["servers"]
        assert shown["server_instance_id"] == 'the "one"' and shown["lease"] is None
        assert shown["statistics"]["frames_received"] == 1 and shown["statistics"]["groups"] == 1
        answer = get(server, "/status/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.text.splitlines()
        assert r'manager_connections{server="the \"one\""} 2' in lines
        assert r'manager_frames_received_total{server="the \"one\""} 1' in lines
        assert "# TYPE manager_frames_received_total counter" in lines
        page = get(server, "/status/live")
        assert "<title>Connections" in page.text and page.headers["cache-control"] == "no-store"


def test_it_has_the_resumable_connections_of_the_process(
    manager: ConnectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"live": 1, "parked": 2, "resumed": 3, "lost": {"gone": 4}}
    monkeypatch.setattr(metrics, "_resumable", lambda: counts)
    with serve(manager, debug=True) as server:
        [shown] = get(server, "/status").json()["servers"]
    assert shown["statistics"]["resumable"] == counts


def test_metrics_are_what_prometheus_reads(manager: ConnectionManager) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    manager.statistics.lose("slow client", 3)
    local = {"server_instance_id": "a\\b\nc", "connections": 1, "users": 1, "groups": 0}
    text = prometheus_text({**local, "statistics": manager.statistics.as_dict()})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    [sample] = families["manager_frames_dropped"].samples
    assert sample.labels == {"server": "a\\b\nc", "reason": "slow client"} and sample.value == 3
    assert families["manager_connections"].type == "gauge" and families["manager_sends"].type == "counter"


def test_the_page_is_told_again_and_again(manager: ConnectionManager) -> None:
    with serve(manager, debug=True, every=0.05) as server:
        ticket = get(server, "/status/ticket").json()["ticket"]
        with Client(server, f"/status/socket?ticket={ticket}") as page:
            first, second = page.receive_json(), page.receive_json()
            assert first["connections"] == 0 and second["at"] > first["at"]
            with Client(server, "/ws/alice"):
                while page.receive_json()["connections"] != 1:
                    pass
    json.dumps(first)


def test_the_line_of_statistics(manager: ConnectionManager) -> None:
    assert Upkeep(manager, 60).line().startswith('statistics: server=the "one" connections=0 users=0 ')
