"""The manager's own pages: status as JSON, Prometheus text, and a page that updates itself."""

from __future__ import annotations

from compat.manager.status.router import status_router

__all__ = ["status_router"]
