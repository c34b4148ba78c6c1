"""The example chat as a FastAPI application.

While it is being developed: channels-compat runserver main:app
Otherwise: uvicorn main:app, and with REDIS_URL=redis://… as many workers as there is work for.
"""

from __future__ import annotations

import os
from pathlib import Path

from compat.fastapi import lifespan
from compat.settings import configure
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from chat import api, pages, sockets

REDIS_URL = os.environ.get("REDIS_URL")

configure(
    # Pages of these hosts may open sockets here, pages of other sites may not.
    ALLOWED_HOSTS=os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(","),
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "compat.layers.redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
        if REDIS_URL
        else {"BACKEND": "compat.layers.InMemoryChannelLayer"}
    },
)

app = FastAPI(title="Hallway", lifespan=lifespan)
app.include_router(pages.router, include_in_schema=False)
app.include_router(sockets.router)
app.include_router(api.router)

# Style and scripts are those of the Django project: a port does not touch them.
STATIC = Path(__file__).resolve().parent.parent / "django_port" / "chat" / "static"
app.mount("/static", StaticFiles(directory=STATIC), name="static")
