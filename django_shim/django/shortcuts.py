"""``render`` and ``redirect``: what views end with."""

from __future__ import annotations

from typing import Any, NoReturn

from .http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect, HttpResponseRedirect
from .unserved import needs_django
from .urls import NoReverseMatch, reverse

__all__ = [
    "Http404",
    "HttpResponse",
    "HttpResponsePermanentRedirect",
    "HttpResponseRedirect",
    "aget_list_or_404",
    "aget_object_or_404",
    "get_list_or_404",
    "get_object_or_404",
    "redirect",
    "render",
    "resolve_url",
]


def render(
    request: HttpRequest,
    template_name: Any,
    context: dict[str, Any] | None = None,
    content_type: str | None = None,
    status: int | None = None,
    using: str | None = None,
) -> HttpResponse:
    """Return the template (or the first that exists, of a list), filled with ``context``, as a response."""
    from .template import loader

    content = loader.render_to_string(template_name, context, request, using=using)
    return HttpResponse(content, content_type, status)


def redirect(
    to: Any, *args: Any, permanent: bool = False, preserve_request: bool = False, **kwargs: Any
) -> Any:
    """To an object's URL, a view by its name, or a URL: 302, 301 with ``permanent``."""
    kind = HttpResponsePermanentRedirect if permanent else HttpResponseRedirect
    return kind(resolve_url(to, *args, **kwargs), preserve_request=preserve_request)


def resolve_url(to: Any, *args: Any, **kwargs: Any) -> str:
    """Return the URL that ``redirect`` goes to."""
    if hasattr(to, "get_absolute_url"):
        return str(to.get_absolute_url())
    target = to if callable(to) else str(to)
    if isinstance(target, str) and target.startswith(("./", "../")):
        return target
    try:
        return reverse(target, args=args, kwargs=kwargs)
    except NoReverseMatch:
        # A URL has a slash or a dot in it; a name that is not known has neither, and is a mistake.
        if callable(target) or ("/" not in target and "." not in target):
            raise
        return target


def get_object_or_404(klass: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises ImportError: there are no models without the real Django."""
    raise ImportError(needs_django(f"get_object_or_404({_name(klass)})"), name="django")


def get_list_or_404(klass: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises ImportError: there are no models without the real Django."""
    raise ImportError(needs_django(f"get_list_or_404({_name(klass)})"), name="django")


async def aget_object_or_404(klass: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises ImportError: there are no models without the real Django."""
    get_object_or_404(klass)


async def aget_list_or_404(klass: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raises ImportError: there are no models without the real Django."""
    get_list_or_404(klass)


def _name(klass: Any) -> str:
    return str(getattr(klass, "__name__", None) or type(klass).__name__)
