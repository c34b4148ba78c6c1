"""The application of the typed seeds: their code with its import lines rewritten, and two files around it.

`src/base_consumer.py` and `src/main.py` are the reader's own in the seeds; these here are in our hand.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import REPO
from tests.support.ported import app_of_the_seeds
from tests.support.processes import child_environment
from tests.support.servers import Server, served

__all__ = ["SeedApp"]

BASE_CONSUMER = '''\
"""What all consumers of the application have in common."""
from typing import Generic

from compat.typed import AsyncJsonWebsocketConsumer, ReceiveEvent


class BaseConsumer(AsyncJsonWebsocketConsumer[ReceiveEvent], Generic[ReceiveEvent]):
    pass
'''

MAIN = """\
from compat.client import files
from compat.fastapi import lifespan
from compat.typed.asyncapi import add_asyncapi
from fastapi import APIRouter, FastAPI

from src.layers import setup_layers

setup_layers()

from src.apps.room_chat.consumer import RoomChatConsumer
from src.apps.showcase.consumer import (
    AnalyticsConsumer,
    ChatConsumer,
    NotificationConsumer,
    ReliableChatConsumer,
)
from src.apps.showcase.messages import SystemNotify

ws_router = APIRouter()
ws_router.add_websocket_route("/room/{room_name}", RoomChatConsumer.as_asgi())
ws_router.add_websocket_route("/chat", ChatConsumer.as_asgi())
ws_router.add_websocket_route("/reliable", ReliableChatConsumer.as_asgi())
ws_router.add_websocket_route("/notifications", NotificationConsumer.as_asgi())
ws_router.add_websocket_route("/analytics", AnalyticsConsumer.as_asgi())

app = FastAPI(title="Seeds", lifespan=lifespan)
app.mount("/ws", ws_router)
app.mount("/_channels", files)
add_asyncapi(app)


@app.post("/notify/{text}")
async def notify(text: str) -> None:
    await ChatConsumer.broadcast_event(SystemNotify(payload=text))


@app.post("/notify-sync/{text}")
def notify_sync(text: str) -> None:
    ReliableChatConsumer.broadcast_event_sync(SystemNotify(payload=text))
"""


class SeedApp:
    """Lays the application out in `folder`, to be served and run on the Redis at `redis_url`."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.src = app_of_the_seeds("chanx_src", folder / "src")
        (self.src / "base_consumer.py").write_text(BASE_CONSUMER, encoding="utf-8")
        (self.src / "main.py").write_text(MAIN, encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        return {"REDIS_URL": self.redis_url, "PYTHONPATH": str(REPO)}

    @contextmanager
    def serve(self, *options: str, log: str = "server.log") -> Iterator[Server]:
        """`uvicorn src.main:app`, until the block ends."""
        uvicorn = str(Path(sys.executable).parent / "uvicorn")
        command = [uvicorn, "src.main:app", "--port", "{port}", *options]
        with served(command, cwd=self.folder, log=self.folder / log, env=self.env) as server:
            yield server

    def run(self, *arguments: str, deadline_s: float = 60.0, **env: str) -> subprocess.CompletedProcess[str]:
        """`python …` in the application's folder, with every warning an error."""
        return subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=self.folder,
            env=child_environment({**self.env, **env}),
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
