"""The status router: who may see it, what it says, and its page's websocket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from compat import metrics
from compat.live import basic, staff
from compat.manager import ConnectionManager, WSConfig, status_router
from compat.manager.connections.periodic import PeriodicTasks
from compat.manager.status.prometheus import prometheus_text
from compat.publish import bearer, router
from compat.settings import override
from tests.support.clients import Client, get
from tests.support.servers import LiveServer
from tests.support.waiting import until


@contextmanager
def serve(manager: ConnectionManager, debug: bool = False, *args: Any) -> Iterator[LiveServer]:
    """An app with the router, and with connections at /ws/<user>."""
    app = FastAPI(debug=debug)
    app.include_router(status_router(*args, manager=manager))

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


PATHS = ("/status", "/status/metrics", "/status/live/", "/status/live/now")


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
    with pytest.raises(TypeError, match="takes a dependency"):
        status_router("admin")


def test_faults_security_small_ticket_is_good_once_and_for_its_own_page(manager: ConnectionManager) -> None:
    """What confirms an order on the live page."""
    with serve(manager, debug=True) as server, httpx.Client(trust_env=False, timeout=15) as page:

        def order(content: dict[str, Any], **headers: str) -> httpx.Response:
            return page.post(server.http("/status/live/close"), json=content, headers=headers)

        with Client(server, "/ws/alice") as alice:
            for origin in ("http://evil.example", "null", f"{server.origin}.evil.example", "http://["):
                assert order({"kind": "user", "name": "alice"}, Origin=origin).status_code == 403
            told = order({"kind": "user", "name": "alice"}, Origin=server.origin).json()
            assert told["count"] == 1 and told["silent"] == []
            confirm = {"confirm": told["confirm"]}
            assert order(confirm, Origin="http://evil.example").status_code == 403
            assert order(confirm).json() == {"count": 1, "silent": [], "whole": False}
            assert alice.wait_closed()[0] == 1008
        assert order(confirm).status_code == 409 and "already" in order(confirm).json()["problem"]


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
        assert get(server, "/status/live").headers["location"] == "live/"
        page = get(server, "/status/live/")
        assert "<title>Live" in page.text and page.headers["cache-control"] == "no-store"


def test_the_live_page_has_what_a_manager_holds(manager: ConnectionManager) -> None:
    """The process counts once a second at most, and rarer where counting is slow: an older count is told."""
    with serve(manager, debug=True) as server:

        def has() -> dict[str, Any]:
            (process,) = get(server, "/status/live/now").json()["processes"]
            return {what: process["has"][what] for what in ("sockets", "users", "largest")}

        has()
        with Client(server, "/ws/alice"), Client(server, "/ws/bob"):
            held = {"sockets": 2, "users": 2, "largest": [["lobby", 2]]}
            until(lambda: has() == held, "both connections are counted", deadline_s=60)


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


def test_the_line_of_statistics(manager: ConnectionManager) -> None:
    assert PeriodicTasks(manager, 60).line().startswith('statistics: server=the "one" connections=0 users=0 ')


def test_what_refuses_by_returning_none_is_no_dependency() -> None:
    """Was: FastAPI ignores what a dependency returns, so everybody was shown the pages."""
    for dependency in (staff, Depends(staff)):
        with pytest.raises(TypeError, match=r"staff is for compat\.live\.page.*everybody would be admitted"):
            status_router(dependency)
        with pytest.raises(TypeError, match=r"router\(\): staff .*raises an HTTPException"):
            router(authenticate=dependency)
    assert status_router(basic("ada", "a password")) is not None


def test_what_makes_a_dependency_is_none() -> None:
    """Was: FastAPI took its parameters from the query, and showed the pages to whoever named one."""
    for maker, written in ((bearer, r"bearer\(token\)"), (basic, r"basic\(name, password\)")):
        for given in (maker, Depends(maker)):
            with pytest.raises(TypeError, match=rf"status_router\(\): .*; write {written}"):
                status_router(given)
