"""Authenticators: they decide whether a client may use a connection.

A consumer calls its ``authenticator_class`` after the handshake and before it joins groups, so that the
authenticator can send the client a reason. A client that is refused is closed with a code from 4000 to 4999.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Literal

from compat.codes import UNAUTHENTICATED
from compat.typed.config import config
from compat.typed.messages import AuthenticationMessage, AuthenticationPayload, BaseMessage
from compat.types import Scope

__all__ = ["CLOSE_UNAUTHENTICATED", "BaseAuthenticator", "Credential", "UserAuthenticator"]

CLOSE_UNAUTHENTICATED = UNAUTHENTICATED

SendMessage = Callable[[BaseMessage], Awaitable[None]]


@dataclass(frozen=True)
class Credential:
    """A credential that an authenticator reads, for the documentation."""

    name: str
    location: Literal["query", "header", "cookie"]
    description: str | None = None


class BaseAuthenticator(abc.ABC):
    """Base class of authenticators; one is created for each connection.

    ``send_message`` sends a message to the client. ``credentials`` are documented as alternatives.
    ``status_code``, an HTTP status that ``authenticate()`` sets, determines the close code: 4000 + the
    status.
    """

    credentials: ClassVar[Sequence[Credential]] = ()
    emits: ClassVar[Sequence[type[BaseMessage]]] = ()
    """The messages that it sends, for the documentation."""
    status_code: int | None = None

    def __init__(self, send_message: SendMessage) -> None:
        self.send_message = send_message

    @abc.abstractmethod
    async def authenticate(self, scope: Scope) -> bool:
        """Return True if the client of ``scope`` is allowed. The method may add data to the scope."""

    @property
    def close_code(self) -> int:
        """The close code: 4000 + ``status_code`` if that is an HTTP error, else 4401."""
        if self.status_code is not None and 400 <= self.status_code < 600:
            return 4000 + self.status_code
        return CLOSE_UNAUTHENTICATED


class UserAuthenticator(BaseAuthenticator):
    """Allows clients whose ``scope["user"]`` is authenticated; it needs an ``AuthMiddlewareStack``.

    It first sends an ``AuthenticationMessage`` with status 200, 401 or 403, unless
    ``send_authentication_message`` of ``compat.typed.config.config`` is False. Override ``permitted()`` for
    further conditions; False means 403.
    """

    emits = (AuthenticationMessage,)

    async def authenticate(self, scope: Scope) -> bool:
        """Return True if the scope's user is authenticated and permitted."""
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
        """Return True if the authenticated user may use this connection."""
        return True
