"""Authenticators: may this client have the socket at all?

A consumer's ``authenticator_class`` is asked once, after the handshake and before any group is joined, so
that it can tell the client why not. A client that is turned away is closed with a code of the range 4000 to
4999.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Literal

from compat.typed.config import config
from compat.typed.messages import AuthenticationMessage, AuthenticationPayload, BaseMessage
from compat.types import Scope

__all__ = ["CLOSE_UNAUTHENTICATED", "BaseAuthenticator", "Credential", "UserAuthenticator"]

CLOSE_UNAUTHENTICATED = 4401

SendMessage = Callable[[BaseMessage], Awaitable[None]]


@dataclass(frozen=True)
class Credential:
    """Where an authenticator looks for a credential: what the documentation says of it."""

    name: str
    location: Literal["query", "header", "cookie"]
    description: str | None = None


class BaseAuthenticator(abc.ABC):
    """Base of authenticators; one is made for each connection.

    ``send_message`` sends a message to the client. ``credentials`` are documented, any one of them is enough.
    ``status_code``, an HTTP status set by ``authenticate()``, decides the close code: 4000 more than it.
    """

    credentials: ClassVar[Sequence[Credential]] = ()
    emits: ClassVar[Sequence[type[BaseMessage]]] = ()
    """For the documentation: what it sends."""
    status_code: int | None = None

    def __init__(self, send_message: SendMessage) -> None:
        self.send_message = send_message

    @abc.abstractmethod
    async def authenticate(self, scope: Scope) -> bool:
        """Whether the client of ``scope`` may stay. May put what it found into the scope."""

    @property
    def close_code(self) -> int:
        """The code to close with: 4000 + ``status_code`` where that is an error of HTTP, else 4401."""
        if self.status_code is not None and 400 <= self.status_code < 600:
            return 4000 + self.status_code
        return CLOSE_UNAUTHENTICATED


class UserAuthenticator(BaseAuthenticator):
    """Lets those in whom ``scope["user"]`` says are authenticated: for behind an ``AuthMiddlewareStack``.

    Sends an ``AuthenticationMessage`` first, with status 200 or 401, unless ``send_authentication_message``
    of ``compat.typed.config.config`` is False. Override ``permitted()`` to ask more of a user; False there is
    403.
    """

    emits = (AuthenticationMessage,)

    async def authenticate(self, scope: Scope) -> bool:
        """Whether the scope's user is authenticated and permitted."""
        user = scope.get("user")
        if user is None or not user.is_authenticated:
            status = HTTPStatus.UNAUTHORIZED
        elif not await self.permitted(scope):
            status = HTTPStatus.FORBIDDEN
        else:
            status = HTTPStatus.OK
        self.status_code = status.value
        if config.send_authentication_message:
            payload = AuthenticationPayload(status_code=status.value, status_text=status.phrase)
            await self.send_message(AuthenticationMessage(payload=payload))
        return status is HTTPStatus.OK

    async def permitted(self, scope: Scope) -> bool:
        """Whether this user, who is authenticated, may have this socket."""
        return True
