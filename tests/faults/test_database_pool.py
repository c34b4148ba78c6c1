"""Consumers on SQLAlchemy, as docs/howto/sqlalchemy.md has them: forty sockets on five connections."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.client import connect

from compat.settings import settings
from tests.docs.pages import files_of
from tests.support.servers import LiveServer
from tests.support.waiting import until

SOCKETS, WRITERS, POOL = 40, 5, 5


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's main.py, with its database in a folder of the test's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.py").write_text(files_of("howto/sqlalchemy")["main.py"], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("sqlalchemy_page", tmp_path / "main.py")
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    settings.reset()


async def talk(server: LiveServer) -> None:
    """All sockets open at once, some write, and all hear of all that was written."""
    async with AsyncExitStack() as stack:
        opening = (connect(server.ws("/ws/"), proxy=None, open_timeout=60) for _ in range(SOCKETS))
        sockets = await asyncio.gather(*(stack.enter_async_context(socket) for socket in opening))
        for socket in sockets:
            assert json.loads(await asyncio.wait_for(socket.recv(), 60)) == {"notes": []}
        await asyncio.gather(
            *(
                socket.send(json.dumps({"text": str(number)}))
                for number, socket in enumerate(sockets[:WRITERS])
            )
        )
        for socket in sockets:
            heard = {json.loads(await asyncio.wait_for(socket.recv(), 60))["added"] for _ in range(WRITERS)}
            assert heard == {str(number) for number in range(WRITERS)}


def test_as_many_sockets_as_you_like_on_a_small_pool(page: Any) -> None:
    with LiveServer(page.app, lifespan="on") as server:
        asyncio.run(talk(server))
        until(lambda: page.engine.pool.checkedout() == 0, "every connection is given back")
        assert page.engine.pool.checkedin() <= POOL and page.engine.pool.overflow() <= 0
