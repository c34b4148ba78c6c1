"""Which views the check for the CSRF token leaves alone, and which give the cookie in any case."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from asgiref.sync import iscoroutinefunction

from ...middleware.csrf import CsrfViewMiddleware, get_token

__all__ = ["csrf_exempt", "csrf_protect", "ensure_csrf_cookie", "requires_csrf_token"]


def around(
    view: Callable[..., Any],
    before: Callable[[Any], Any] = lambda request: None,
    after: Callable[[Any, Any], Any] = lambda request, response: response,
) -> Callable[..., Any]:
    """``view``, sync or async as it is; ``before(request)`` may give the answer, ``after`` may change it.

    For an async view ``before`` may be async too.
    """

    def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = before(request)
        return after(request, view(request, *args, **kwargs)) if answer is None else answer

    async def async_wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = before(request)
        if isawaitable(answer):
            answer = await answer
        return after(request, await view(request, *args, **kwargs)) if answer is None else answer

    return functools.wraps(view)(async_wrapper if iscoroutinefunction(view) else wrapper)


def csrf_exempt(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Let the view accept POST without a token."""
    view = around(view_func)
    view.csrf_exempt = True  # type: ignore[attr-defined]  # the mark that the middleware looks for
    return view


def csrf_protect(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Check the view even if the middleware is not installed."""
    middleware = CsrfViewMiddleware(view_func)
    check = middleware.aprocess_view if iscoroutinefunction(view_func) else middleware.process_view

    def before(request: Any) -> Any:
        middleware.process_request(request)
        return check(request, view_func, (), {})

    return around(view_func, before, middleware.process_response)


def ensure_csrf_cookie(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Make the view's response set the cookie, even if its page has no form."""
    middleware = CsrfViewMiddleware(view_func)

    def before(request: Any) -> None:
        middleware.process_request(request)
        get_token(request)

    return around(view_func, before, middleware.process_response)


def requires_csrf_token(view_func: Callable[..., Any]) -> Callable[..., Any]:
    """Have the view's page know the token of the cookie, even if the middleware has not run."""
    middleware = CsrfViewMiddleware(view_func)
    return around(view_func, middleware.process_request, middleware.process_response)
