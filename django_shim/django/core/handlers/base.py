"""The chain of middleware around the views.

The chain is async from end to end. What is sync (views, and middleware that does not say it is async) runs in
a thread that belongs to the request, so blocking code holds up nobody else.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from compat.exceptions import ImproperlyConfigured

from ...conf import settings
from ...http import HttpRequest, HttpResponseBase
from ...urls import get_resolver, set_urlconf
from ...utils.module_loading import import_string
from ..exceptions import MiddlewareNotUsed
from .exception import log_refusal, response_for_exception
from .loop import Hooks, has_hooks_only

__all__ = ["BaseHandler", "Handler", "is_project_middleware"]

logger = logging.getLogger("django.request")

Handler = Callable[[HttpRequest], Awaitable[Any]]


def is_project_middleware(path: str) -> bool:
    """Is this entry of MIDDLEWARE to be imported? Django's own are, where the subset has them."""
    return path.partition(".")[0] != "django" or path in SERVED_MIDDLEWARE


SERVED_MIDDLEWARE = {
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.security.SecurityMiddleware",
}


class BaseHandler:
    """Reads MIDDLEWARE once, then answers requests."""

    def __init__(self) -> None:
        self._view_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._chain = self._load_middleware()

    async def get_response(self, request: HttpRequest) -> Any:
        """Return the response to ``request``; exceptions have become error pages."""
        set_urlconf(None)
        response = await self._chain(request)
        log_refusal(request, response)
        response._closable.append(request.close)
        return response

    def _load_middleware(self) -> Handler:
        handler = inner = _with_error_pages(self._call_view, "")
        joined: tuple[Hooks, ...] = ()  # of the loop middleware next to each other around ``inner``
        for path in filter(is_project_middleware, reversed(settings.MIDDLEWARE)):
            factory, name = import_string(path), f"the middleware {path}"
            on_loop = getattr(factory, "async_capable", False)
            if not on_loop and not getattr(factory, "sync_capable", True):
                raise RuntimeError(
                    f"{name} is neither sync_capable nor async_capable: set one of them to True"
                )
            try:
                instance: Any = factory(handler if on_loop else async_to_sync(handler))
            except MiddlewareNotUsed as error:
                logger.debug("MiddlewareNotUsed(%r): %s", path, error)
                continue
            if instance is None:
                raise ImproperlyConfigured(f"{name} returned None: a factory returns what takes the request")
            self._keep_hooks(instance)
            if has_hooks_only(instance):
                joined = (Hooks.of(instance, name), *joined)
                handler = _through(joined, inner)
            else:
                joined = ()
                handler = inner = _with_error_pages(instance if on_loop else sync_to_async(instance), name)
        return handler

    def _keep_hooks(self, instance: Any) -> None:
        on_loop = getattr(instance, "hooks_run_on_loop", False)
        if hasattr(instance, "process_view"):
            hook = instance.process_view
            method = _as_async(getattr(instance, "aprocess_view", hook) if on_loop else hook, on_loop)
            if on_loop or iscoroutinefunction(hook):
                method = _after_form(method, instance.reads_form if on_loop else _always)
            self._view_middleware.insert(0, method)
        if hasattr(instance, "process_exception"):
            self._exception_middleware.append(_as_async(instance.process_exception, on_loop))

    async def _call_view(self, request: HttpRequest) -> Any:
        urlconf = vars(request).get("urlconf")  # middleware may have set it
        set_urlconf(urlconf)
        match = get_resolver(urlconf).resolve(request.path_info)
        request.resolver_match = match
        view, args, kwargs = match
        response = None
        for hook in self._view_middleware:
            response = await hook(request, view, args, kwargs)
            if response is not None:
                break
        if response is None:
            on_loop = iscoroutinefunction(view)
            if on_loop:  # the view may ask for the form there
                await _load_form(request)
            try:
                if on_loop:
                    response = await view(request, *args, **kwargs)
                else:
                    response = await _in_thread(view, request, *args, **kwargs)
            except Exception as error:
                response = await self._process_exception(request, error)
                if response is None:
                    raise
        _check_response(response, _name_of(view))
        return response

    async def _process_exception(self, request: HttpRequest, error: Exception) -> Any:
        for hook in self._exception_middleware:
            response = await hook(request, error)
            if response is not None:
                return response
        return None


def _as_async(function: Any, on_loop: bool = False) -> Any:
    if iscoroutinefunction(function):
        return function
    if not on_loop:
        return sync_to_async(function, thread_sensitive=True)

    async def call(*args: Any) -> Any:
        return function(*args)

    return call


@sync_to_async  # once: the wrapper takes longer to make than to call
def _in_thread(view: Any, /, *args: Any, **kwargs: Any) -> Any:
    return view(*args, **kwargs)


def _always(request: HttpRequest, view: Any) -> bool:
    return True


async def _load_form(request: HttpRequest) -> None:
    """Parse a form in a thread."""
    if request.has_form:
        await sync_to_async(request.load_form, thread_sensitive=True)()


def _after_form(hook: Any, reads_form: Callable[[HttpRequest, Any], bool]) -> Any:
    """A ``process_view`` that runs on the event loop; the form is parsed before, where it may read it."""

    async def call(request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        if request.has_form and reads_form(request, view):
            await _load_form(request)
        return await hook(request, view, args, kwargs)

    return call


def _with_error_pages(handler: Handler, name: str) -> Handler:
    """Turn exceptions into responses for the next layer; ``name``: the name of this layer."""

    async def inner(request: HttpRequest) -> Any:
        try:
            response = await handler(request)
            _check_response(response, name)
            return response
        except Exception as error:  # noqa: BLE001 - this is where errors become pages
            return await _error_page(request, error)

    return inner


def _through(middleware: tuple[Hooks, ...], inner: Handler) -> Handler:
    """Return ``inner`` with the hooks of ``middleware`` around it, from the outermost to the innermost.

    It is what a coroutine for each of them would do, in one.
    """

    async def call(request: HttpRequest) -> Any:
        response, entered = None, 0
        for hooks in middleware:
            try:
                response = hooks.process_request(request)
            except Exception as error:  # noqa: BLE001 - this is where errors become pages
                response = await _error_page(request, error)
                break
            entered += 1
            if response:
                break
        else:
            response = await inner(request)
        for hooks in reversed(middleware[:entered]):
            try:
                response = hooks.process_response(request, response)
                _check_response(response, hooks.name)
            except Exception as error:  # noqa: BLE001 - as above
                response = await _error_page(request, error)
        return response

    return call


async def _error_page(request: HttpRequest, error: Exception) -> Any:
    return await sync_to_async(response_for_exception, thread_sensitive=False)(request, error)


def _name_of(view: Any) -> str:
    name = getattr(view, "__qualname__", None) or type(view).__qualname__
    return f"the view {getattr(view, '__module__', '')}.{name}"


def _check_response(response: Any, source: str) -> None:
    if isinstance(response, HttpResponseBase):
        return
    if response is None:
        raise ValueError(f"{source} returned None and no response: is there a return missing?")
    if inspect.iscoroutine(response):
        response.close()
        raise ValueError(f"{source} returned a coroutine and no response: is there an await missing?")
    if not hasattr(response, "status_code"):
        kind = type(response).__name__
        raise ValueError(f"{source} returned a {kind} and no response: write HttpResponse(…) around it")
