"""Writes down what a client sees, line by line, so that two servers' answers can be laid side by side.

A line is `who: what`, with nothing in it that may differ between two runs of the same server (no channel
names, ports or times). The lines are what docs/differences.md quotes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.support.clients import SAME_ORIGIN, Client, Refused, get
from tests.support.servers import Address
from tests.support.waiting import within

__all__ = ["Recorder"]

NOTHING_S = 1.5
"""How long a journal is looked at that real Channels never completes."""

COMPLETE_S = 15.0
"""How long one may take to be complete, on a busy machine."""

ANSWER_S = 8.0
"""How long a handshake waits that real Channels never answers: longer than CHANNEL_HANDSHAKE_SECONDS."""

LONG = 2000
"""A longer frame is written down by its length."""


class Recorder:
    """Plays a client script against one server and keeps the transcript in `lines`.

    `completes`: the journals of the script come to the end that it waits for.
    """

    def __init__(self, server: Address, *, completes: bool = True) -> None:
        self.server = server
        self.completes = completes
        self.lines: list[str] = []
        self._clients: dict[str, Client] = {}

    def note(self, who: str, what: str) -> None:
        self.lines.append(f"{who}: {what}")

    def open(
        self,
        who: str,
        path: str,
        *,
        origin: str | None = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] | None = None,
        open_timeout_s: float = 15.0,
    ) -> bool:
        """Shake hands; False (and a line that says why) if the server refuses."""
        try:
            client = Client(
                self.server,
                path,
                origin=origin,
                headers=headers,
                subprotocols=subprotocols,
                open_timeout_s=open_timeout_s,
            )
        except Refused as refused:
            self.note(who, f"refused with HTTP {refused.status}")
            return False
        except TimeoutError:
            self.note(who, "no answer to the handshake")
            return False
        self._clients[who] = client
        self.note(who, "open" + (f", subprotocol {client.subprotocol}" if client.subprotocol else ""))
        return True

    def open_expecting_silence(self, who: str, path: str) -> bool:
        """`open` for a server that may never answer, or only when its own time is up."""
        return self.open(who, path, open_timeout_s=ANSWER_S)

    def header(self, who: str, name: str) -> None:
        """A header of the answer to the handshake."""
        self.note(who, f"{name}: {self._clients[who].response_headers.get(name)}")

    def send(self, who: str, data: Any) -> None:
        """Send a str or bytes as it is, anything else as JSON."""
        self._clients[who].send(data if isinstance(data, str | bytes) else json.dumps(data))

    def hear(self, *who: str) -> None:
        """Write down the next frame of each, or how the connection ended instead."""
        for name in who:
            self._hear(name, self._clients[name])

    def _hear(self, who: str, client: Client) -> None:
        try:
            frame = client.connection.recv(15)
        except ConnectionClosed:
            self.note(who, client.ending())
        else:
            self._frame(who, frame)

    def hear_json(self, who: str, *keys: str) -> None:
        """The next frame is a JSON object: a line for each of these keys, or for all of them."""
        content = self._clients[who].receive_json()
        for key in keys or content:
            self.note(who, f"{key} {json.dumps(content[key])}")

    def close_and_hear(self, who: str) -> None:
        """Close, and write down what came until then: the server answers frames in their order."""
        client = self._clients.pop(who)
        client.close()
        self._hear(who, client)

    def _frame(self, who: str, frame: str | bytes) -> None:
        long = len(frame) > LONG
        self.note(who, f"frame of {len(frame)} characters" if long else f"frame {frame!r}")

    def close(self, who: str, code: int = 1000) -> None:
        self._clients.pop(who).close(code)

    def drop(self, who: str) -> None:
        """Cut the TCP connection."""
        self._clients.pop(who).drop()

    def page(self, path: str) -> None:
        """GET a page: status and body."""
        answer = get(self.server, path)
        self.note("page", f"HTTP {answer.status_code} {answer.text}")

    def journal(self, key: str, *, until: str) -> None:
        """What the consumers of that key noted, once the last note begins with `until` (or time is up)."""
        entries: list[str] = []

        def complete() -> bool:
            nonlocal entries
            entries = get(self.server, f"/journal/{key}/").json()["entries"]
            return bool(entries) and entries[-1].startswith(until)

        within(COMPLETE_S if self.completes else NOTHING_S, complete)
        self.note("consumer", ", ".join(entries) or "nothing")

    def end(self) -> list[str]:
        """Close what is open; the transcript."""
        for who in list(self._clients):
            self.close(who)
        return self.lines
