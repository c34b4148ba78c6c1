"""``Depends(get_manager)`` and its like, on versions of FastAPI that read annotations in other ways."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

import pytest

from compat.fastapi import channel_layer
from compat.manager import app_manager, get_manager
from compat.manager.status.router import only_in_debug
from tests.support.environments import OLD_FASTAPI, environment

APP = textwrap.dedent(
    """
    import asyncio
    from typing import Annotated

    from compat.fastapi import channel_layer, lifespan
    from compat.layers import BaseChannelLayer, InMemoryChannelLayer, register_channel_layer
    from compat.manager import ConnectionManager, WSConfig, app_manager, get_manager, status_router
    from fastapi import Depends, FastAPI

    manager = ConnectionManager(ws_config=WSConfig())
    register_channel_layer("default", InMemoryChannelLayer())
    app = FastAPI(debug=True)
    app.state.manager = manager
    app.include_router(status_router())

    @app.get("/")
    async def page(
        one: Annotated[ConnectionManager, Depends(get_manager)],
        two: Annotated[ConnectionManager, Depends(app_manager)],
        layer: Annotated[BaseChannelLayer, Depends(channel_layer())],
    ) -> bool:
        return one is two is manager

    async def ask(path):
        sent = []
        async def receive(): return {"type": "http.request", "body": b""}
        async def send(message): sent.append(message)
        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    print(asyncio.run(ask("/")), asyncio.run(ask("/status"))[0])
    """
)


@pytest.mark.parametrize("dependency", [get_manager, app_manager, channel_layer(), only_in_debug])
def test_faults_tests_s4_77_annotations_can_be_evaluated(dependency: Any) -> None:
    inspect.signature(dependency, eval_str=True)


@pytest.mark.slow
@pytest.mark.parametrize("version", OLD_FASTAPI)
def test_faults_tests_s4_77_on_this_version_of_fastapi(version: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    old = environment(f"fastapi-{version}")
    done = old.run("python", "app.py", cwd=tmp_path)
    assert done.stdout == "(200, b'true') 200\n", done.stderr
