"""The built site: its pages, what they link to, and a server for them on the loopback interface."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

__all__ = ["Page", "Site", "read_page"]

LINKS = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset", "iframe": "src"}


@dataclass
class Page:
    """What the link check wants to know of a page."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    """What a browser fetches without being asked."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.anchors |= {given[name] for name in ("id", "name") if name in given and tag != "meta"}
        target = given.get(LINKS.get(tag, ""))
        if target is None or (tag == "link" and given.get("rel") == "canonical"):
            return
        self.page.links.append(target)
        if tag != "a" and not (tag == "link" and given.get("rel") in ("prev", "next")):
            self.page.loads.append(target)


def read_page(html: str) -> Page:
    """The anchors and links of a page."""
    reader = _Reader()
    reader.feed(html)
    return reader.page


class Site:
    """The folder that the site was built into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pages = {
            path.relative_to(folder).as_posix(): read_page(path.read_text(encoding="utf-8"))
            for path in sorted(folder.rglob("*.html"))
        }

    def broken(self, name: str) -> list[str]:
        """The links of a page that lead to no file or no anchor of the site; other hosts are not asked."""
        found = []
        for link in self.pages[name].links:
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            address, anchor = urldefrag(urljoin(f"/{name}", link))
            target = unquote(address).lstrip("/") or "index.html"
            if target.endswith("/"):
                target += "index.html"
            path = self.folder / target
            if not path.is_file():
                found.append(f"{link}: no such file")
            elif anchor and target.endswith(".html") and unquote(anchor) not in self.pages[target].anchors:
                found.append(f"{link}: no such anchor")
        return found

    @contextmanager
    def served(self) -> Iterator[str]:
        """The address of a server of the site, until the block ends."""
        handler = functools.partial(_Quiet, directory=str(self.folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, name="docs-server", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            server.server_close()
            thread.join(15)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None: ...
