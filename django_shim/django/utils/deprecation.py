"""``MiddlewareMixin``: middleware written as ``process_request`` and ``process_response``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async

__all__ = [
    "MiddlewareMixin",
    "RemovedInDjango60Warning",
    "RemovedInDjango61Warning",
    "RemovedInNextVersionWarning",
]


class RemovedInDjango60Warning(DeprecationWarning):
    """Kept so that warning filters that name it work."""


class RemovedInDjango61Warning(PendingDeprecationWarning):
    """Kept so that warning filters that name it work."""


RemovedInNextVersionWarning = RemovedInDjango60Warning


class MiddlewareMixin:
    """Calls ``process_request(request)`` before and ``process_response(request, response)`` after the view.

    A response from ``process_request`` is the answer, and the view is not called. Works on both sides: where
    ``get_response`` is a coroutine function the hooks run in a thread.
    """

    sync_capable = True
    async_capable = True
    process_request: Any
    process_response: Any

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        if get_response is None:
            raise ValueError("get_response must be provided.")
        self.get_response = get_response
        self.async_mode = iscoroutinefunction(get_response)
        if self.async_mode:
            markcoroutinefunction(self)
        super().__init__()

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} get_response={self.get_response!r}>"

    def __call__(self, request: Any) -> Any:
        if self.async_mode:
            return self.__acall__(request)
        response = self.process_request(request) if hasattr(self, "process_request") else None
        response = response or self.get_response(request)
        return self.process_response(request, response) if hasattr(self, "process_response") else response

    async def __acall__(self, request: Any) -> Any:
        response = None
        if hasattr(self, "process_request"):
            response = await sync_to_async(self.process_request, thread_sensitive=True)(request)
        response = response or await self.get_response(request)
        if hasattr(self, "process_response"):
            response = await sync_to_async(self.process_response, thread_sensitive=True)(request, response)
        return response
