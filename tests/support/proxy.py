"""A TCP proxy that can be told to misbehave, to stand between a layer and its Redis."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Proxy"]


class Proxy:
    """Forwards a free loopback port to `target`; runs in a thread of its own until the block ends.

    `delay_s` is what each chunk takes, in either direction; `bytes_per_s`, when set, is how fast a connection
    is towards the client. `cut()` resets every connection, `half_close()`
    ends only the direction towards the client, `hold()` lets nothing through until `release()`, `stall()`
    nothing on the connections that there are, and `refuse()` accepts nobody until `accept()`. `strand()`
    resets the clients and leaves the server's side open, and `lead_to()` names another target.
    `before(data, to_server)`, when set, sees each chunk first and may return another (None: drop the
    connection instead).
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self.before: Callable[[bytes, bool], bytes | None] | None = None
        self.connections = 0
        """How many have been accepted."""
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._stranded: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._server: asyncio.Server
        self._flow: asyncio.Event
        self._stalled: list[asyncio.Event] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.port = self._run(self._start())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        self._run(self._cut())

    def half_close(self) -> None:
        """Say end of file to every client, and go on forwarding what they say."""
        self._run(self._half_close())

    def hold(self) -> None:
        """Keep what comes from now on, in both directions."""
        self._run(self._hold())

    def release(self) -> None:
        """Let it flow again."""
        self._loop.call_soon_threadsafe(self._flow.set)

    def stall(self) -> None:
        """Keep what comes on the connections that there are, for good; new ones work."""
        self._run(self._stall())

    def strand(self) -> None:
        """Reset every client; the server is not told, as when a client's network is gone."""
        self._run(self._strand())

    def lead_to(self, target: int) -> None:
        """Forward new connections to another port."""
        self.target = target

    def refuse(self) -> None:
        """Reset new connections at once."""
        self._refusing = True

    def accept(self) -> None:
        """Take new connections again."""
        self._refusing = False

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> int:
        self._flow = asyncio.Event()
        self._flow.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._refusing = True
        for flow in (self._flow, *self._stalled):
            flow.set()
        # A server that is closed loses the connections that it has accepted in the same turn.
        await self._all_ended()
        self._server.close()
        await self._all_ended()

    async def _all_ended(self) -> None:
        """Cut until nothing happens for some turns: what is accepted has no task in the first ones."""
        quiet = 0
        while quiet < 5:
            await self._cut()
            running = asyncio.all_tasks() - {asyncio.current_task()}
            quiet = 0 if running else quiet + 1
            if running:
                await asyncio.wait(running)

    async def _cut(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _hold(self) -> None:
        self._flow.clear()

    async def _stall(self) -> None:
        self._flow.clear()
        self._stalled.append(self._flow)
        self._flow = asyncio.Event()
        self._flow.set()

    async def _strand(self) -> None:
        self._stranded |= self._clients
        for writer in tuple(self._clients):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _half_close(self) -> None:
        for writer in tuple(self._clients):
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        self._clients.add(writer)
        try:
            if self._refusing:
                return
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(upstream)
            ways = [
                asyncio.ensure_future(self._forward(reader, upstream, True)),
                asyncio.ensure_future(self._forward(upstream_reader, writer, False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
                if writer not in self._stranded:
                    upstream.transport.abort()
                    self._open.discard(upstream)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)
            self._clients.discard(writer)
            self._stranded.discard(writer)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: bool
    ) -> None:
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        forwarding: asyncio.Task[None] | None = None
        flow = self._flow
        try:
            while data := await reader.read(1 << 16):
                await flow.wait()
                if self.before is not None:
                    changed = self.before(data, to_server)
                    if changed is None:
                        return
                    data = changed
                if self.bytes_per_s and not to_server:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                if self.delay_s and forwarding is None:
                    forwarding = self._loop.create_task(_forward_later(late, writer))
                if forwarding is not None:
                    late.put_nowait((self._loop.time() + self.delay_s, data))
                else:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            if forwarding is not None:
                forwarding.cancel()
                await asyncio.wait((forwarding,))


async def _forward_later(late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Write each chunk when it is due, in order."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while True:
            due, data = await late.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(data)
            await writer.drain()
