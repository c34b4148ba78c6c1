"""The example chat as a FastAPI application, and the showcase of typed consumers.

Development: channels-compat runserver main:app
Production: uvicorn main:app, with REDIS_URL=redis://… for several workers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from compat.client import files
from compat.fallback import Fallback
from compat.fastapi import open_layers
from compat.typed.asyncapi import add_asyncapi
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import layers
from chat import api, pages, sockets
from protection import protect
from showcase import api as showcase_api
from showcase import pages as showcase_pages
from showcase import sockets as showcase_sockets
from showcase.tasks import broker

layers.set_up()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with open_layers():
        await broker.startup()
        yield
        await broker.shutdown()


app = FastAPI(title="Hallway", lifespan=lifespan)
protect(app, layers.ALLOWED_HOSTS)
app.add_middleware(Fallback)  # a way in for networks that block websockets
app.include_router(pages.router, include_in_schema=False)
app.include_router(sockets.router)
app.include_router(api.router)
app.include_router(showcase_pages.router, include_in_schema=False)
app.include_router(showcase_api.router)
app.router.routes.extend(showcase_sockets.routes)
add_asyncapi(app)  # /asyncapi/, /asyncapi.json, /asyncapi.yaml

# The script that lets a lost connection of the chat's page come back.
app.mount("/_channels", files, name="channels")

# The style and scripts of the chat are those of the Django project.
STATIC = Path(__file__).resolve().parent / "chat" / "static"
app.mount("/static", StaticFiles(directory=STATIC), name="static")
app.mount("/showcase/static", StaticFiles(directory=showcase_pages.STATIC), name="showcase_static")
