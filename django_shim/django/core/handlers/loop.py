"""Middleware whose hooks compute and never wait: they run on the event loop, without a thread for each."""

from __future__ import annotations

from typing import Any

from ...utils.deprecation import MiddlewareMixin

__all__ = ["LoopMiddleware"]


class LoopMiddleware(MiddlewareMixin):
    """As MiddlewareMixin, for ``process_request`` and ``process_response`` that cannot block."""

    hooks_run_on_loop = True

    async def __acall__(self, request: Any) -> Any:
        response = self.process_request(request) if hasattr(self, "process_request") else None
        response = response or await self.get_response(request)
        return self.process_response(request, response) if hasattr(self, "process_response") else response
