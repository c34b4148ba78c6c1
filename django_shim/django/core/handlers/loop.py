"""The subset's own middleware, whose hooks do not block: they run on the event loop, without threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

from ...utils.deprecation import MiddlewareMixin

__all__ = ["Hooks", "LoopMiddleware", "has_hooks_only"]


class LoopMiddleware(MiddlewareMixin):
    """As MiddlewareMixin, for hooks of the subset's own middleware, which do not block.

    Those of a project's subclass may: they run in the request's thread.
    """

    hooks_run_on_loop = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.hooks_run_on_loop = cls.__module__.startswith("django.")

    async def __acall__(self, request: Any) -> Any:
        if not self.hooks_run_on_loop:
            return await super().__acall__(request)
        response = self.process_request(request) if hasattr(self, "process_request") else None
        response = response or await self.get_response(request)
        return self.process_response(request, response) if hasattr(self, "process_response") else response


def has_hooks_only(middleware: Any) -> TypeGuard[LoopMiddleware]:
    """Return True for loop middleware that does nothing around its hooks."""
    kind = type(middleware)
    return (
        isinstance(middleware, LoopMiddleware)
        and kind.hooks_run_on_loop
        and kind.__call__ is MiddlewareMixin.__call__
        and kind.__acall__ is LoopMiddleware.__acall__
    )


class Hooks(NamedTuple):
    """The hooks of one loop middleware; those that it lacks change nothing."""

    name: str
    process_request: Callable[[Any], Any]
    process_response: Callable[[Any, Any], Any]

    @classmethod
    def of(cls, middleware: LoopMiddleware, name: str) -> Hooks:
        """Return the hooks of ``middleware``; ``name`` is what errors call it."""
        return cls(
            name,
            getattr(middleware, "process_request", lambda request: None),
            getattr(middleware, "process_response", lambda request, response: response),
        )
