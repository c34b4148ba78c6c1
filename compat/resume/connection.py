"""A resumable connection: to the application it is one client, while sockets come and go."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from compat import tickets
from compat.codes import ABNORMAL, COMES_BACK, NORMAL, SERVICE_RESTART, TAKEN_OVER
from compat.engine.admissions import Admission
from compat.engine.cursors import Progress
from compat.engine.fast.forgetting import forget_handshake
from compat.engine.fast.write_batching import OneWrite
from compat.engine.inbox import Inbox
from compat.engine.socket import Socket
from compat.resume import receipts
from compat.resume.delivery import ASKS_COUNT, answer_count
from compat.resume.histories import Followed, Returned
from compat.resume.inbound import Inbound
from compat.resume.journal import Journal, payload_of, size_of
from compat.resume.link import REPLACED, Link
from compat.resume.parking import Parking
from compat.resume.posts import Grace
from compat.resume.registry import registry
from compat.resume.wire import PROTOCOL, control
from compat.types import Message, Receive, Send

__all__ = ["ResumableConnection"]

log = logging.getLogger("compat.resume")

CLOSE_TIMEOUT_S = 2.0


class ResumableConnection(Parking):
    """The connection of one client: ``receive`` and ``send`` for the application, and the present link."""

    __slots__ = (
        *("admission", "confirmed", "counted_from", "followed", "grace"),
        *("id", "inbound", "journal", "loop", "notices", "outlives", "over", "place", "posts"),
        *("seconds", "socket", "subprotocol", "told", "where", "why"),
    )

    def __init__(
        self,
        seconds: float,
        place: tickets.Place,
        why: str | None,
        returned: Returned | None = None,
        where: str = "",
    ) -> None:
        super().__init__()
        self.id = secrets.token_bytes(16)
        self.seconds, self.place = seconds, place
        self.why = why
        """Why it replaces another connection of its client; None if it does not."""
        self.where = where
        """The path of its URL, for the log; without the query string, which may be a secret."""
        self.loop = asyncio.get_running_loop()
        self.journal = Journal()
        self.inbound = Inbound(self.loop, self)
        self.confirmed = 0
        """The oldest generation whose ticket is valid."""
        self.counted_from = 0
        """The last generation whose link was a socket: frames posted before have come again over that."""
        self.socket: Socket | None = None  # the consumer's, if it may write frames by itself
        self.posts = self.outlives = False
        """``posts``: the link is a response, or the last link was: the client posts its frames."""
        self.grace: Grace | None = None
        """Which tickets are valid for posts, if ``posts``."""
        self.subprotocol = PROTOCOL
        self.over = False
        """Nothing more is taken, neither from the client nor from the application."""
        self.told = False
        """The application has got the client's disconnect, or has ended."""
        self.notices: Callable[[str], None] | None = None
        """Tells the consumer that its client is away or back (``engine.connection.Connection.notice``)."""
        self.admission: Admission | None = None
        self.returned = returned
        self.followed: Followed | None = None

    def receive(self) -> Awaitable[Message]:
        """Return the client's next message; the disconnect comes once, when the client has left for good."""
        return self.inbound.get()

    async def send(self, message: Message) -> None:
        """Send an ASGI message, now or on the client's return; raise ClientDisconnected after the end."""
        kind = message["type"]
        if kind == "websocket.send":
            link, text = self.link, message.get("text")
            if link is not None and link.writes(text):
                return
            if link is not None and link.framed is None and text and link.takes(text):
                try:
                    await link.raw_send(message)
                except Exception as error:  # noqa: BLE001 - any server
                    link.failed(message, error)
            else:
                await self._send(message)
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            await self._close(message)
        elif kind == ASKS_COUNT:
            answer_count(message, self.journal.total)
        elif self.link is not None:  # the response that refuses a handshake
            await self.link.raw_send(message)

    async def _send(self, message: Message) -> None:
        payload = payload_of(message)
        size = size_of(payload)
        if self.over:
            await receipts.drop(self)
            return
        if self.link is not None:
            self.link.take_over()
        if self.journal.queued or not self.journal.add(payload, size):
            await receipts.add_later(self, payload, size)
        if self.link is not None:
            self.link.flush()
        registry.grow(self, size)

    async def delivered(self, within_s: float | None, count: int | None = None) -> bool:
        """See ``engine.contracts.Resumed``; False after ``within_s`` seconds, or when the client has left."""
        return await receipts.delivered(self, within_s, self.journal.total if count is None else count)

    # Its beginning and its end, for ``compat.resume.app``

    def begin(self, receive: Receive, send: Send, *, posts: bool = False) -> None:
        """Attach the first socket, and begin to read it; ``posts``: it is a response."""
        self.link = Link(receive, send, self, relayed=posts)
        self.posts = self.outlives = posts
        self.counted_from = -1 if posts else 0
        self.grace = Grace(0, self.loop.time()) if posts else None
        registry.enter(self)
        self.link.begin()

    def count_by(self, admission: Admission) -> None:
        """Let ``admission`` count the connection only while its client is here."""
        self.admission = admission

    def tell_by(self, notice: Callable[[str], None], *, drained: bool = False) -> None:
        """See ``engine.contracts.Resumed``."""
        self.notices, self.drained = notice, drained

    def written_by(self, socket: Socket) -> None:
        """See ``engine.contracts.Resumed``."""
        self.socket = socket

    def follow(self, inbox: Inbox, progress: Callable[[], Progress]) -> None:
        """See ``engine.contracts.Resumed``."""
        self.followed = Followed(self, inbox, progress)

    def go_silent(self) -> None:
        """Send and take nothing more, while the server closes the socket."""
        self.over = True
        if self.link is not None:
            self.link.take_over()

    async def finish(self, code: int) -> None:
        """End the connection, because its application has returned; close an open client with ``code``."""
        if self.final is None and not self.told:
            close = {"type": "websocket.close", "code": code}
            try:
                await asyncio.wait_for(self._close(close), CLOSE_TIMEOUT_S)
            except Exception as error:  # noqa: BLE001 - any server
                log.debug("a connection could not be closed: %r", error)
                if self.link is not None and not isinstance(error, asyncio.TimeoutError):
                    self.link.close_otherwise(close)
        self.go_silent()
        self.told, self.socket = True, None
        self.notices = self.admission = None
        self.drained = False
        if self.returned is not None:
            self.returned.close()
            self.returned = None
        if self.followed is not None:
            self.followed.close()
            self.followed = None
        self.end_watching()
        self._wake_all()
        if self.link is None and (self.final is None or not self.accepted):
            self.forget()

    async def _accept(self, message: Message) -> None:
        # A client does not wait for a hello after a subprotocol of its own: it would send its frames here.
        own = None if registry.stopping else message.get("subprotocol")
        link, self.subprotocol = self.link, own or PROTOCOL
        if link is None or link.gone:
            return self.put_disconnect(ABNORMAL)
        with OneWrite(link.protocol):
            await link.raw_send({**message, "subprotocol": self.subprotocol})
            if registry.stopping:  # after a refusal the client would not come again, unlike after 1012
                link.close({"type": "websocket.close", "code": SERVICE_RESTART})
                return self.put_disconnect(ABNORMAL)
            self.accepted = True
            forget_handshake(link.framed)
            known = None if self.why is None or self.returned is not None else ""
            link.tell(self.hello(known, None if known is None else self.why))
            if self.followed is not None:
                self.followed.again()
            link.flush()

    async def _close(self, message: Message) -> None:
        # Set before the link has closed: that may be stuck, and the client may come back on another link.
        self.final = message
        if self.followed is not None and self.accepted and message.get("code") in COMES_BACK:
            self.acknowledge(fresh=True)  # its next consumer begins where this one ends
        self.go_silent()
        if self.link is None:
            self.put_disconnect(message.get("code", NORMAL))
            registry.drop_first(self)
            return
        self.acknowledge_rest()  # not the frames that wait: they may not be taken
        try:
            await self.link.close(message)
        except Exception:  # the server does not take the code
            self.final, self.over = None, False
            raise

    def put_disconnect(self, code: int) -> None:
        """Tell the application, once, that its client has left for good."""
        self.go_silent()
        self._wake_all()
        if not self.told:
            self.told = True
            self.inbound.put({"type": "websocket.disconnect", "code": code})

    def _wake_all(self) -> None:
        self.inbound.make_space()
        self.journal.wake()

    # For its links

    def came(self, link: Link | None, message: Message, size: int) -> asyncio.Future[None] | None:
        """Take a message of the client; see ``owner.Owner``."""
        if link is not self.link or self.over:
            return None  # the client sends it again on its newer link, or it is too late
        frame = message["type"] == "websocket.receive"  # the first one is the server's "websocket.connect"
        space = self.inbound.take(message, size) if frame else self.inbound.put(message, size)
        if space is not None and self.inbound.wide:
            self.journal.wake()  # the acknowledgement that is waited for is not read any more
        elif space is not None:
            self.journal.look_again()
        return space

    def space(self) -> asyncio.Future[None] | None:
        """See ``owner.Owner``."""
        return None if self.over else self.inbound.wait_for_space()

    def acknowledged(self, link: Link | None, count: int, generation: int | None = None) -> None:
        """Forget the first ``count`` frames, which the client has; see ``owner.Owner``.

        ``generation``: of the client's ticket. A client with a socket has at least the ticket of its hello.
        """
        if link is not self.link:
            return
        self.confirmed = max(self.confirmed, self.counted_from if generation is None else generation)
        if link is None:
            before = self.journal.count()
            self.journal.acknowledge(count)
            registry.grow(self, self.journal.count() - before)
        else:
            link.acknowledged(count)
        self.renew()

    def pinged(self, link: Link) -> None:
        """See ``owner.Owner``."""
        link.tell(control("pong"))
        self.renew()

    # When the client comes back

    def why_not(self, generation: int, received: int) -> str | None:
        """Return why a client with a ticket of ``generation``, and ``received`` frames, cannot come back."""
        if not self.confirmed <= generation <= self.generation:
            return "used"
        if self.link is not None and self.link.goodbye:
            return "left"
        if self.journal.acknowledged <= received < self.journal.begin:
            return "overflow"  # its acknowledgements were too far behind what it sends
        if not self.journal.begin <= received <= self.journal.end:
            return "position"
        if self.said and received == self.journal.end:
            return "gone"  # it has got the close too, which came after these frames
        return self._why_gone()

    def refuse(self, generation: int) -> None:
        """End the connection, because its client, with a ticket of this generation, may not come back."""
        if not self.confirmed <= generation <= self.generation:
            return
        link = self.link
        if link is not None:  # it is dead, because the client has opened another one
            self.ended(link, ABNORMAL, goodbye=False)
            link.drop(TAKEN_OVER)
        self.give_up("refused", counted=True)

    def why_no_post(self, generation: int) -> str | None:
        """Return why frames that were posted with a ticket of this generation are not taken."""
        oldest = self.confirmed if self.grace is None else self.grace.oldest
        return self._why_gone() if oldest <= generation <= self.generation else "used"

    def _why_gone(self) -> str | None:
        if not self.accepted or self.id not in registry.connections:
            return "gone"
        return "stopped" if self.over and self.final is None else None  # the client has the last ticket

    def resume(self, link: Link, place: tickets.Place, generation: int = 0, *, posts: bool = False) -> None:
        """Attach another link, which has been accepted and begins after the frames that its client has.

        ``generation``: of the client's ticket. ``posts``: the link is a response.
        """
        replaced, self.link = self.link, link
        self.confirmed = max(self.confirmed, generation)
        self.place = place  # the key of its hashes may have changed
        registry.unpark(self)
        untold = self.untold
        if untold is None:
            self.back_at = self.loop.time()
            registry.count_return()
        self.generation += 1
        self.posts = posts
        if not posts:
            self.counted_from, self.grace = self.generation, None
        elif self.grace is None or untold is None:
            self.grace = Grace(generation, self.loop.time())
        else:
            self.grace.follow(generation, self.loop.time())
        self.journal.acknowledge(link.sent)
        if replaced is not None:
            replaced.drop(TAKEN_OVER, REPLACED)
        self.unpark()
        if self.admission is not None:
            self.admission.resume()
        link.tell(self.hello("all", again=untold is not None))
        self.judge_again(generation)
        for message in untold or ():
            link.tell(message)
        link.flush()
        if self.followed is not None:
            self.followed.again()
        if self.final is not None:
            link.close_anyhow(self.final)
            return
        if self.journal.waits:
            receipts.ask(self)
        if self.notices is not None and untold is None:
            self.notices("compat.resumed")
