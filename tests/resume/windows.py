"""Pages in Chromium behind a proxy that cuts, and what their server has counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.windows import Window, opened
from tests.support.browser import Browser
from tests.support.clients import get
from tests.support.paths import REPO
from tests.support.processes import Process
from tests.support.proxy import Proxy
from tests.support.servers import Address, Server
from tests.support.waiting import until

__all__ = ["TAG", "Cut", "behind", "counting", "counts", "restarted", "watching"]

TAG = '<script src="/_channels/socket.js" data-install></script>'

WATCHING = """<!DOCTYPE html>
<title>Watching</title>
%s
<script>
const heard = [], events = [];
let made = 0, socket;
function connect() {
  made += 1;
  socket = new WebSocket(`ws://${location.host}%s`);
  socket.onmessage = ({ data }) => heard.push(data);
  for (const type of ["open", "close", "offline", "resumed", "unsure"]) {
    socket.addEventListener(type, ({ detail }) => events.push({ type, detail, at: performance.now() }));
  }
  %s
}
connect();
</script>
"""


def watching(path: str, *, tag: str = TAG, more: str = "") -> str:
    """A page that keeps what its socket for ``path`` hears; ``more`` is run for each socket that it makes."""
    return WATCHING % (tag, path, more)


def counts(server: Address) -> dict[str, Any]:
    """What ``tests.support.counted`` has counted."""
    counted: dict[str, Any] = json.loads(get(server, "/counts").text)
    return counted


class Cut:
    """A window whose page has come through a proxy."""

    def __init__(self, window: Window, proxy: Proxy, server: Server) -> None:
        self.window, self.proxy, self.server = window, proxy, server

    def events(self, *kinds: str) -> list[Any]:
        """Those of the page's sockets so far."""
        return [event for event in self.window.run("events") if not kinds or event["type"] in kinds]

    def has(self, kind: str, count: int = 1) -> Any:
        """The last of so many events of a kind."""
        what = f"{kind} no. {count}"
        return until(lambda: self.events(kind)[count - 1 :], what, deadline_s=45)[0]

    def heard(self) -> list[str]:
        found: list[str] = self.window.run("heard")
        return found

    def hears(self, wanted: Callable[[list[str]], object], what: str) -> list[str]:
        """All frames so far, once they are as wanted."""
        until(lambda: wanted(self.heard()), what, deadline_s=45)
        return self.heard()

    def cut(self) -> None:
        """End the connections, until ``back()``; the server has noticed it."""
        live = counts(self.server)["sockets"]["live"]
        self.proxy.refuse()
        self.proxy.cut()
        until(lambda: counts(self.server)["sockets"]["live"] < live, "the server has noticed the cut")

    def back(self) -> None:
        """The network is back, as the browser tells its pages."""
        self.proxy.accept()
        self.window.run("dispatchEvent(new Event('online'))")


def counting(app: str, pages: Path | None = None) -> dict[str, str]:
    """The environment in which ``tests.support.counted`` serves ``app``, and pages of that folder."""
    return {"COUNTED": app, "PYTHONPATH": str(REPO), **({} if pages is None else {"PAGES": str(pages)})}


@contextmanager
def behind(chromium: Browser, server: Server, path: str) -> Iterator[Cut]:
    """A window with the page at that path of a server, behind a proxy of its own."""
    with Proxy(server.port) as proxy, opened(chromium, f"http://127.0.0.1:{proxy.port}{path}") as (window,):
        yield Cut(window, proxy, server)


@contextmanager
def restarted(
    command: Sequence[str], port: int, *, cwd: Path, log: Path, env: dict[str, str]
) -> Iterator[Server]:
    """The command as a server on that port, until the block ends."""
    command = [part.format(port=port) for part in command]
    with Process(command, cwd=cwd, log=log, env=env) as process:
        process.wait_listening(port)
        yield Server(process, port)
