"""Row S6, the manager's endpoint in FastAPI: it goes on over cuts, and the status page shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket

import compat.client
from compat.client import Client
from compat.layers import unregister_channel_layer
from compat.manager import ConnectionManager, WSConfig, status_router
from compat.metrics import resumable
from compat.resume import Resumable
from tests.e2e.windows import opened
from tests.support.browser import Browser
from tests.support.proxy import Proxy
from tests.support.servers import LiveServer
from tests.support.waiting import until, until_async

ended: list[str] = []
ORIGIN = {"Origin": "http://127.0.0.1"}


@pytest.fixture
def manager() -> ConnectionManager:
    return ConnectionManager(ws_config=WSConfig(SERVER_INSTANCE_ID="one"), allowed_origins=["127.0.0.1"])


@pytest.fixture
def server(manager: ConnectionManager) -> Iterator[LiveServer]:
    """The endpoint of docs/manager.md, with resumable connections."""
    app = FastAPI(debug=True)
    app.include_router(status_router(manager=manager))
    app.add_middleware(Resumable, allowed=manager.allows_origin_of)
    app.mount("/_channels", compat.client.files)

    @app.websocket("/ws/{user}")
    async def endpoint(websocket: WebSocket, user: str) -> None:
        async with manager.session(websocket, user) as connection:
            await manager.join_group(connection, "lobby")
            try:
                while True:
                    await manager.send_to_group("lobby", await websocket.receive_json())
            finally:
                ended.append(user)

    with LiveServer(app) as server:
        yield server
    ended.clear()
    unregister_channel_layer("default")  # the manager has made it


async def test_S6_the_endpoint_goes_on_over_a_cut(server: LiveServer, manager: ConnectionManager) -> None:
    with Proxy(server.port) as proxy:
        address = f"ws://127.0.0.1:{proxy.port}/ws/ada"
        async with (
            Client(address, headers=ORIGIN) as ada,
            Client(server.ws("/ws/bob"), headers=ORIGIN) as bob,
        ):
            await ada.send(json.dumps({"n": 0}))
            assert [json.loads(await one.receive()) for one in (ada, bob)] == [{"n": 0}] * 2
            [before] = await manager.get_user_connections("ada")
            proxy.refuse()
            proxy.cut()
            await until_async(lambda: ada.state == "away", "the cut is known")
            for number in range(1, 101):
                await bob.send(json.dumps({"n": number}))
                assert json.loads(await bob.receive()) == {"n": number}
            await ada.send(json.dumps({"n": 101}))
            proxy.accept()
            heard = [json.loads(await ada.receive())["n"] for _ in range(101)]
            assert heard == list(range(1, 102))
            assert ada.recovered == "all" and not ended
            assert await manager.get_user_connections("ada") == [before]
            assert manager.statistics.connected == 2
        await until_async(lambda: sorted(ended) == ["ada", "bob"], "both have left")


async def test_S6_a_page_of_another_site_cannot_take_over_a_connection(
    server: LiveServer, manager: ConnectionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A return is asked for its Origin as well: the endpoint, which asks for it, does not run again."""
    asked: list[Any] = []
    monkeypatch.setattr(manager._origins, "allows", lambda scope: asked.append(scope["headers"]))
    with Proxy(server.port) as proxy:
        async with Client(f"ws://127.0.0.1:{proxy.port}/ws/ada", headers=ORIGIN) as ada:
            proxy.cut()
            await until_async(lambda: ada.recovered is not None, "it is back")
            assert (ada.recovered, ada.why, len(asked)) == ("", "refused", 1)


def test_the_status_page_shows_them(server: LiveServer, chromium: Browser) -> None:
    page = f"""
        const tag = document.createElement("script");
        tag.src = "{server.http("/_channels/socket.js")}";
        tag.onload = () => {{ window.one = new Socket("{server.ws("/ws/ada")}"); }};
        document.head.append(tag);
    """
    with Proxy(server.port) as proxy:
        page = page.replace(f":{server.port}/ws", f":{proxy.port}/ws")
        with opened(chromium, server.http("/status/live/"), server.http("/status")) as (status, ada):
            status.wait_text("state", "Live")
            before = resumable()
            ada.front().execute_script(page)
            ada.wait(lambda: ada.run("window.one?.readyState") == 1, "the socket is open")
            proxy.refuse()
            proxy.cut()
            until(lambda: resumable()["parked"] == before["parked"] + 1, "it is parked")

            def row() -> str:
                return status.text("resumable")

            counts = resumable()
            # Those of the tests before it are among them: there may be thousands.
            wanted = f"{counts['live']:,} {counts['parked']:,} {counts['resumed']:,} "
            status.wait(lambda: row().partition(" ")[2].startswith(wanted), f"{wanted!r} on the status page")
            assert all(f"{why} {count:,}" in row() for why, count in counts["lost"].items())
            proxy.accept()
            ada.run("dispatchEvent(new Event('online'))")
            until(lambda: resumable()["resumed"] == before["resumed"] + 1, "it is back")
            status.wait(lambda: row().split()[3] == f"{resumable()['resumed']:,}", "the page says so")
