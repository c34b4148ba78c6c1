"""What a link of the client for Python tells of what has yet to leave."""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
from pathlib import Path

import pytest

from compat.client.links import World
from tests.resume.wire_server import wire_server
from tests.support.tls import certificate
from tests.support.waiting import until_async

MORE_THAN_BUFFERS = 16 * 1024 * 1024
"""Bytes: more than both kernels keep of a connection."""
MORE_THAN_A_READ = 1024 * 1024
"""Bytes: more than the kernel of the server takes of a connection that nobody reads, at first."""


@pytest.mark.parametrize("encrypted", [False, True])
async def test_what_is_unsent_becomes_less_while_the_server_reads(tmp_path: Path, encrypted: bool) -> None:
    served = trusted = None
    if encrypted:
        cert, key = certificate(tmp_path)
        served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=cert)
        served.load_cert_chain(cert, key)
    frame = b"\xab" * MORE_THAN_BUFFERS
    async with wire_server(None, served) as server:
        url = server.url.replace("ws:", "wss:") if encrypted else server.url
        link = await World().open(url, [], {}, trusted, 10)
        peer = await server.link()
        assert link.unsent == (0, 0, 0)
        peer.socket.transport.pause_reading()
        sending = asyncio.ensure_future(link.send(frame))
        await until_async(lambda: link.unsent[1] > 0, "the frame waits")
        before = link.unsent
        assert before[2] > 0 or sys.platform != "linux"
        peer.socket.transport.resume_reading()
        whole = await peer.next() == frame
        assert whole
        await sending
        peer.socket.transport.pause_reading()
        sending = asyncio.ensure_future(link.send(frame * 2))
        await until_async(lambda: link.unsent[1] > 0, "a larger one waits")
        assert link.unsent < before
        sending.cancel()
        link.leave()
        assert link.unsent < before, "it may be asked after the end"


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not say what waits in them")
async def test_what_is_unsent_becomes_no_less_while_frames_only_fill_buffers() -> None:
    """A network that is gone looks like that."""
    async with wire_server(None) as server:
        link = await World().open(server.url, [], {}, None, 10)
        peer = await server.link()
        peer.socket.transport.pause_reading()
        await link.send(b"\xab" * MORE_THAN_A_READ)
        seen = [link.unsent]
        while sum(seen[-1][1:]) - sum(seen[0][1:]) < 5 * 40_000:  # the server's kernel has taken some more
            seen = [link.unsent]
            for _ in range(5):
                await link.send(random.randbytes(40_000))
                seen.append(link.unsent)
        assert seen == sorted(seen) and seen[0] < seen[-1]
        link.leave()


async def test_frames_in_parts_arrive_whole() -> None:
    async with wire_server(None) as server:
        link = await World().open(server.url, [], {}, None, 10)
        peer = await server.link()
        for frame in ("ü" * 100_000, b"x" * 32_768, b"x" * 32_769, "\U0001f40d" * 65_536, ""):
            await link.send(frame)
            assert await peer.next() == frame
        await link.ping()
        link.leave()
