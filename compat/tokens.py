"""Users by token, under their documented name."""

from __future__ import annotations

from compat.auth.tokens import Header, Place, Query, Subprotocol, TokenAuthMiddleware

__all__ = ["Header", "Place", "Query", "Subprotocol", "TokenAuthMiddleware"]
