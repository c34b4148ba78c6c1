"""A client that has no websocket: it gets frames by responses, and posts its own; one step per call."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx

from tests.support.resuming import MARK, PROTOCOL, Frame
from tests.support.servers import Address

__all__ = ["Posting", "Refusal"]

DEADLINE_S = 30.0


class Refusal(AssertionError):
    """The server has answered with another status than 200 or 204."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code}: {response.text}")
        self.status, self.text = response.status_code, response.text


class Posting:
    """One client; `ask()` begins a response, `frame()` takes a data frame of it, `post()` sends some."""

    def __init__(self, address: Address, path: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.to(address)
        self.headers = {"Origin": address.origin, **(headers or {})}
        self.ticket = ""
        self.received = 0
        self.sent = 0
        """How many data frames the server has, as far as is known."""
        self.controls: list[dict[str, Any]] = []
        self.protocol: str | None = None
        self.end: Any = None
        """The last event: "again", or the code and reason of the close; None: the response was cut."""
        self._http = httpx.AsyncClient(trust_env=False, verify=False, timeout=DEADLINE_S)
        self._stack = AsyncExitStack()
        self._events: AsyncIterator[Any] | None = None

    async def __aenter__(self) -> Posting:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.leave()
        await self._http.aclose()

    def to(self, address: Address) -> Posting:
        """Send the next requests to this server."""
        self.url = address.http(self.path)
        return self

    async def ask(self, transport: str = "stream", *, only: bool = False) -> Posting:
        """Begin a response, in place of the one before; raise Refusal."""
        await self.leave()
        offered = [PROTOCOL]
        if self.ticket:
            offered.append(f"channels.ticket.{self.ticket}.{self.received}{'.only' if only else ''}")
        headers = self._headers(transport, offered)
        response = await self._stack.enter_async_context(self._http.stream("POST", self.url, headers=headers))
        if response.status_code != 200:
            await response.aread()
            raise Refusal(response)
        self.end = None
        self._events = self._read(response)
        return self

    def _headers(self, transport: str, offered: list[str]) -> dict[str, str]:
        names = {"Channels-Transport": transport, "Channels-Protocols": ", ".join(offered)}
        return {**self.headers, **names}

    async def _read(self, response: httpx.Response) -> AsyncIterator[Any]:
        rest = ""
        async for text in response.aiter_text():
            *events, rest = (rest + text).split("\n\n")
            for event in events:
                yield json.loads(event.removeprefix("data: "))

    async def frames(self) -> AsyncIterator[Frame]:
        """The data frames of this response, to its end; control frames are noted on the way."""
        assert self._events is not None
        async for event in self._events:
            if isinstance(event, dict):
                self.protocol = event.get("open", self.protocol)
                self.end = "again" if "again" in event else event.get("close")
                continue
            frame: Frame = event if isinstance(event, str) else base64.b64decode(event[0])
            if isinstance(frame, str) and frame[:1] == MARK and frame[1:2] != MARK:
                self._control(json.loads(frame[1:]))
                continue
            self.received += 1
            yield frame[1:] if frame[:1] == MARK else frame

    def _control(self, control: dict[str, Any]) -> None:
        self.controls.append(control)
        self.ticket = control.get("ticket", self.ticket)
        if control["type"] == "hello":
            self.sent = control["have"]
            if control.get("recovered", "") != "all":
                self.received = 0

    async def hello(self) -> dict[str, Any]:
        """The first control frame of this response."""
        count = len(self.controls)
        assert self._events is not None
        while len(self.controls) == count:
            event = await anext(self._events)
            if isinstance(event, dict):
                self.protocol = event.get("open", self.protocol)
            else:
                assert isinstance(event, str), event
                self._control(json.loads(event[1:]))
        return self.controls[count]

    async def frame(self) -> Frame:
        """The next data frame of this response."""
        return await anext(self.frames())

    async def rest(self) -> list[Frame]:
        """All data frames up to the end of this response."""
        return [frame async for frame in self.frames()]

    async def poll(self, count: int) -> list[Frame]:
        """So many data frames, by as many polls as they take."""
        found: list[Frame] = []
        while len(found) < count:
            await self.ask("poll", only=True)
            found += await self.rest()
            assert self.end == "again", self.end
        return found

    async def post(self, *frames: Frame | dict[str, Any], first: int | None = None) -> None:
        """Send frames, control frames as dicts; raise Refusal."""
        number = self.sent if first is None else first
        body = json.dumps([packed(frame) for frame in frames])
        await self.post_raw(body, number)
        self.sent = number + sum(not isinstance(frame, dict) for frame in frames)

    async def post_raw(self, body: Any, first: int = 0) -> None:
        headers = self._headers("send", [PROTOCOL, f"channels.ticket.{self.ticket}.{first}"])
        response = await self._http.post(self.url, content=body, headers=headers)
        if response.status_code != 204:
            raise Refusal(response)
        assert response.headers["cache-control"] == "no-store, no-transform"

    async def leave(self) -> None:
        """End the response, as a cut does."""
        await self._stack.aclose()
        self._events = None


def packed(frame: Frame | dict[str, Any]) -> Any:
    """What stands for a frame in the body of a post."""
    if isinstance(frame, dict):
        return MARK + json.dumps(frame)
    if isinstance(frame, bytes):
        return [base64.b64encode(frame).decode()]
    return MARK + frame if frame[:1] == MARK else frame
