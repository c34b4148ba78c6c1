"""A room, a POST that says something in it, and their traces, sent to the receiver that OTLP names."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from compat import otel
from compat.fastapi import channel_layer, lifespan
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import BaseChannelLayer
from compat.settings import configure

provider = TracerProvider(resource=Resource.create({"service.name": os.environ["SERVICE"]}))
exporter = OTLPSpanExporter(endpoint=os.environ["OTLP"])
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
trace.set_tracer_provider(provider)
otel.instrument()
RedisInstrumentor().instrument()

LAYER = os.environ["LAYER"]
CONFIG = {"hosts": [os.environ["REDIS_URL"]], "prefix": os.environ["PREFIX"]}
configure(
    CHANNEL_LAYERS={"default": {"BACKEND": f"channels_redis.{LAYER}", "CONFIG": CONFIG}}, ALLOWED_HOSTS=["*"]
)


class Room(AsyncJsonWebsocketConsumer):
    """Tells what is said."""

    groups = ["room"]

    async def said(self, event: Any) -> None:
        await self.send_json(event)


app = FastAPI(lifespan=lifespan)
app.router.add_websocket_route("/room", Room.as_asgi())


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    return "<!DOCTYPE html><title>Room</title><p id=said></p>"


@app.post("/say")
async def say(layer: Annotated[BaseChannelLayer, Depends(channel_layer())]) -> None:
    await layer.group_send("room", {"type": "said", "text": "hello"})


FastAPIInstrumentor.instrument_app(app)
