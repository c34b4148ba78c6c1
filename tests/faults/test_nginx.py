"""Behind nginx with the configuration of the documentation, but for TLS: reloads, kills, and addresses."""

from __future__ import annotations

import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import BLOCKS
from tests.resume.place import name, placed
from tests.support.debian import program
from tests.support.processes import Process, free_port
from tests.support.resuming import Resuming
from tests.support.servers import Address, served

pytestmark = pytest.mark.slow  # it fetches nginx

WHO = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})
"""


class Nginx(Address):
    """nginx in front of a server."""

    def __init__(self, server: Address, folder: Path) -> None:
        super().__init__(free_port())
        folder.mkdir()
        (text,) = (block.text for block in BLOCKS if (block.page, block.language) == ("howto/nginx", "nginx"))
        text = re.sub(r"^ *(ssl_|add_header).*\n", "", text, flags=re.MULTILINE)
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} default_server;")
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "".join(f"{one}_temp_path {folder}/{one};\n" for one in temporary)
        self._file = folder / "nginx.conf"
        self._file.write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{places}{text}\n}}\n"
        )
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it on the port it had before."""
        command = [program("nginx", "usr/sbin/nginx"), "-p", str(self._folder), "-c", str(self._file)]
        self.process = Process(command, cwd=self._folder, log=self._folder / "nginx.log")
        self.process.wait_listening(self.port)


@contextmanager
def behind(server: Address, folder: Path) -> Iterator[Nginx]:
    nginx = Nginx(server, folder)
    try:
        yield nginx
    finally:
        nginx.process.stop()


async def test_a_client_that_comes_back_through_nginx_misses_nothing(tmp_path: Path) -> None:
    with placed(tmp_path) as place, behind(place.server, tmp_path / "nginx") as nginx:
        who = name("proxied")
        client: Resuming = await place.open("async", who)
        client.cut()
        assert await client.back(to=nginx) == "all"
        await place.tell(who, "count 0 10")
        nginx.process.send_signal(signal.SIGHUP)  # it reads its configuration anew; sockets stay
        await place.tell(who, "count 10 20")
        assert await client.numbers(20) == list(range(20))
        nginx.process.stop(signal.SIGKILL)
        assert await client.closed() is not None
        await place.tell(who, "count 20 30")
        nginx.start()
        assert await client.back(to=nginx) == "all"
        assert await client.numbers(10) == list(range(20, 30))
        await client.leave()
        assert await place.code(who) == 1000
        place.no_failure()


def test_a_client_does_not_choose_its_address(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(WHO)
    options = ("--lifespan", "off", "--proxy-headers", "--forwarded-allow-ips", "*")
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "{port}", *options]
    with (
        served(command, cwd=tmp_path, log=tmp_path / "log") as server,
        behind(server, tmp_path / "nginx") as nginx,
    ):
        asked = urllib.request.Request(nginx.http("/"), headers={"X-Forwarded-For": "192.0.2.1"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.read() == b"127.0.0.1"
