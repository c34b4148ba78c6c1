"""HTTP endpoints that send to consumers, for scripts, bots and other services."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from .room import RoomAnnouncement, RoomConsumer, group_of
from .streams import STREAMS, AnalyticsConsumer, Announcement, Measure, Measurement

__all__ = ["router"]

router = APIRouter(prefix="/api/showcase", tags=["showcase"])


class Text(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=500)]


@router.post("/streams/{stream}/announcements", status_code=202)
async def announce(stream: Literal["chat", "reliable", "notifications"], body: Text) -> Text:
    """Send an announcement to all clients of the stream."""
    await STREAMS[stream].broadcast_event(Announcement(payload=body.text))
    return body


@router.post("/measurements", status_code=202)
def measure(body: Measure) -> Measure:
    """Send a measurement; a plain ``def`` runs in a thread and uses the sync form."""
    AnalyticsConsumer.broadcast_event_sync(Measurement(payload=body))
    return body


@router.post("/rooms/{room}/announcements", status_code=202)
async def announce_in_room(room: str, body: Text) -> Text:
    """Send an announcement to all people in a room."""
    await RoomConsumer.broadcast_event(RoomAnnouncement(payload=body.text), group_of(room))
    return body
