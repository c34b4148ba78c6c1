"""An HTTP endpoint that sends messages to a room, for scripts, bots and other services."""

from __future__ import annotations

import time
from typing import Annotated

from compat.fastapi import channel_layer
from compat.layers import BaseChannelLayer
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

from . import rooms
from .consumers import MAX_TEXT

__all__ = ["router"]

router = APIRouter(prefix="/api")
Layer = Annotated[BaseChannelLayer, Depends(channel_layer())]


class Saying(BaseModel):
    """A message, and the name of its sender."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    name: str = Field("Announcement", min_length=1, max_length=rooms.MAX_NAME)


@router.post("/rooms/{room}/messages", status_code=202)
async def say(room: str, saying: Saying, layer: Layer) -> Saying:
    """Send a message to all people who are in the room now."""
    problem = rooms.problem_with(room)
    if problem:
        raise HTTPException(422, problem)
    member = {"id": "api", "name": saying.name}
    event = {"type": "member.said", "member": member, "text": saying.text, "at": round(time.time() * 1000)}
    await layer.group_send(rooms.group_of(room), event)
    return saying
