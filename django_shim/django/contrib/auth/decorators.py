"""Views for those only who are logged in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction

from ...conf import settings
from ...http import HttpResponseRedirect, QueryDict
from ...shortcuts import resolve_url
from ...unserved import NOT_A_PACKAGE, attribute_of

__all__ = ["login_required", "redirect_to_login", "user_passes_test"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def user_passes_test(
    test_func: Callable[[Any], Any], login_url: str | None = None, redirect_field_name: str = "next"
) -> Callable[[Any], Any]:
    """Whom ``test_func(user)`` does not let pass is sent to the login page."""

    def decorate(view: Any) -> Any:
        def refused(request: Any) -> Any:
            return redirect_to_login(_path_from(request, login_url), login_url, redirect_field_name)

        def wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
            return view(request, *args, **kwargs) if test_func(request.user) else refused(request)

        async def async_wrapper(request: Any, *args: Any, **kwargs: Any) -> Any:
            passes = test_func(await request.auser())
            return await view(request, *args, **kwargs) if passes else refused(request)

        return functools.wraps(view)(async_wrapper if iscoroutinefunction(view) else wrapper)

    return decorate


def login_required(
    function: Any = None, redirect_field_name: str = "next", login_url: str | None = None
) -> Any:
    """Who is not logged in is sent to the login page."""
    decorate = user_passes_test(lambda user: user.is_authenticated, login_url, redirect_field_name)
    return decorate if function is None else decorate(function)


def redirect_to_login(
    next: str, login_url: str | None = None, redirect_field_name: str | None = "next"
) -> Any:
    """To LOGIN_URL, which is told where to go afterwards."""
    url = resolve_url(login_url or settings.LOGIN_URL)
    if redirect_field_name:
        query = QueryDict(mutable=True)
        query[redirect_field_name] = next
        url += f"{'&' if '?' in url else '?'}{query.urlencode(safe='/')}"
    return HttpResponseRedirect(url)


def _path_from(request: Any, login_url: str | None) -> str:
    """Where the request was going: without scheme and host if the login page has the same."""
    login = urlsplit(resolve_url(login_url or settings.LOGIN_URL))
    here = request.build_absolute_uri()
    parts = urlsplit(here)
    same = login.scheme in ("", parts.scheme) and login.netloc in ("", parts.netloc)
    return str(request.get_full_path() if same else here)
