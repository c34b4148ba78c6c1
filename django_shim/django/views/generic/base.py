"""``View``: a method per HTTP method; ``TemplateView`` and ``RedirectView`` on top of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from compat.exceptions import ImproperlyConfigured

from ...http import (
    HttpRequest,
    HttpResponse,
    HttpResponseGone,
    HttpResponseNotAllowed,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
)
from ...shortcuts import render
from ...urls import reverse
from ...utils.log import one_line

__all__ = ["ContextMixin", "RedirectView", "TemplateResponseMixin", "TemplateView", "View"]

logger = logging.getLogger("django.request")


class _ViewIsAsync:
    """Are the handlers of a class coroutines? All or none of them."""

    def __get__(self, view: Any, cls: Any) -> bool:
        handlers = [
            getattr(cls, name) for name in cls.http_method_names if name != "options" and hasattr(cls, name)
        ]
        kinds = {iscoroutinefunction(handler) for handler in handlers}
        if len(kinds) > 1:
            raise ImproperlyConfigured(
                f"{cls.__qualname__} mixes sync and async handlers: make all of them one or the other."
            )
        return kinds == {True}


class View:
    """``as_view()`` makes the view function; each request gets an instance of its own."""

    http_method_names = "get post put patch delete head options trace".split()  # projects add to it
    view_is_async = _ViewIsAsync()
    request: HttpRequest
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __init__(self, **kwargs: Any) -> None:
        for name, value in kwargs.items():
            setattr(self, name, value)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., Any]:
        """Return the view function; ``initkwargs`` set attributes of instances, which the class must have."""
        for name in initkwargs:
            if name in cls.http_method_names:
                raise TypeError(f"{cls.__name__}.as_view({name}=…): that is the name of a handler")
            if not hasattr(cls, name):
                raise TypeError(f"{cls.__name__}.as_view({name}=…): the class has no attribute {name!r}")

        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            self = cls(**initkwargs)
            self.setup(request, *args, **kwargs)
            return self.dispatch(request, *args, **kwargs)

        function: Any = view
        functools.update_wrapper(function, cls, updated=())
        function.__dict__.update(cls.dispatch.__dict__)
        function.view_class, function.view_initkwargs = cls, initkwargs
        if cls.view_is_async:
            markcoroutinefunction(function)
        return view

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Keep what the request brought."""
        if hasattr(self, "get") and not hasattr(self, "head"):
            self.head = getattr(self, "get")  # noqa: B009 - a subclass may have it
        self.request, self.args, self.kwargs = request, args, kwargs

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Call the method for the request's method, or answer 405."""
        name = (request.method or "").lower()
        handler = getattr(self, name, None) if name in self.http_method_names else None
        return (handler or self.http_method_not_allowed)(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """405."""
        response = HttpResponseNotAllowed(self._allowed_methods())
        logger.warning(
            "Method Not Allowed (%s): %s", request.method, one_line(request.path), extra={"status_code": 405}
        )
        response._has_been_logged = True  # type: ignore[attr-defined]  # one record, and this one says more
        return self._answer(response)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Return a response that lists the allowed methods."""
        return self._answer(
            HttpResponse(headers={"Allow": ", ".join(self._allowed_methods()), "Content-Length": "0"})
        )

    def _answer(self, response: Any) -> Any:
        """Return a handler's result: the caller of an async view awaits it."""
        if not self.view_is_async:
            return response

        async def answer() -> Any:
            return response

        return answer()

    def _allowed_methods(self) -> list[str]:
        return [name.upper() for name in self.http_method_names if hasattr(self, name)]


class ContextMixin:
    """What a template is given: ``extra_context``, the URL's arguments, and the view itself as ``view``."""

    extra_context: dict[str, Any] | None = None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Override it to add to the context."""
        return {"view": self, **kwargs, **(self.extra_context or {})}


class TemplateResponseMixin:
    """Answers with the template ``template_name``."""

    template_name: str | None = None
    content_type: str | None = None
    request: HttpRequest

    def get_template_names(self) -> list[str]:
        """Return the templates to try, in order."""
        if self.template_name is None:
            raise ImproperlyConfigured(
                f"{type(self).__name__} needs template_name, or get_template_names() of its own."
            )
        return [self.template_name]

    def render_to_response(self, context: Any, **response_kwargs: Any) -> Any:
        """Return the response for ``context``."""
        response_kwargs.setdefault("content_type", self.content_type)
        return render(self.request, self.get_template_names(), context, **response_kwargs)


class TemplateView(TemplateResponseMixin, ContextMixin, View):
    """``TemplateView.as_view(template_name="chat/index.html")``"""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Render the template."""
        return self.render_to_response(self.get_context_data(**kwargs))


class RedirectView(View):
    """``RedirectView.as_view(url="/chat/")``, or ``pattern_name`` with the URL's own arguments."""

    permanent = False
    url: str | None = None
    pattern_name: str | None = None
    query_string = False

    def get_redirect_url(self, *args: Any, **kwargs: Any) -> str | None:
        """Return the URL to redirect to; None for 410 Gone."""
        if not (self.url or self.pattern_name):
            return None
        url = self.url % kwargs if self.url else reverse(self.pattern_name, args=args, kwargs=kwargs)
        query = self.query_string and self.request.META.get("QUERY_STRING", "")
        return f"{url}?{query}" if query else url

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Redirect, or answer 410."""
        url = self.get_redirect_url(*args, **kwargs)
        if not url:
            logger.warning("Gone: %s", one_line(request.path), extra={"status_code": 410})
            response = HttpResponseGone()
            response._has_been_logged = True  # type: ignore[attr-defined]  # one record
            return response
        return (HttpResponsePermanentRedirect if self.permanent else HttpResponseRedirect)(url)

    def _get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.get(request, *args, **kwargs)  # a subclass's too

    head = post = options = delete = put = patch = _get
