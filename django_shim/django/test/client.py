"""Requests without a server: made by hand (RequestFactory), or sent through the project's middleware
(Client).
"""

from __future__ import annotations

import functools
import io
import json
import mimetypes
import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode, urljoin, urlsplit

from asgiref.sync import async_to_sync, sync_to_async

from compat.sessions import session_store

from ..conf import settings
from ..core.handlers.asgi import ASGIRequest
from ..core.handlers.base import BaseHandler
from ..core.handlers.static import static_file_response
from ..core.serializers.json import DjangoJSONEncoder
from ..unserved import NOT_A_PACKAGE, attribute_of
from ..urls import set_script_prefix

__all__ = [
    "AsyncClient",
    "AsyncRequestFactory",
    "Client",
    "RedirectCycleError",
    "RequestFactory",
    "encode_multipart",
]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

MULTIPART = "multipart/form-data"
REDIRECTS = {301, 302, 303, 307, 308}


class RedirectCycleError(Exception):
    """Redirects that lead back to where they began."""

    def __init__(self, message: str, last_response: Any) -> None:
        super().__init__(message)
        self.last_response = last_response
        self.redirect_chain = last_response.redirect_chain


def encode_multipart(boundary: str, data: Mapping[str, Any]) -> bytes:
    """A form as multipart/form-data; what has a ``read`` is sent as a file, a list as several fields."""
    lines: list[bytes] = []
    for name, value in data.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is None:
                raise TypeError(f"the field '{name}' is None, which a form cannot say: pass an empty string")
            lines += _part(boundary, name, one)
    return b"\r\n".join([*lines, f"--{boundary}--".encode(), b""])


def _part(boundary: str, name: str, value: Any) -> list[bytes]:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
    if not hasattr(value, "read"):
        return [f"{head}\r\n".encode(), str(value).encode()]
    filename = str(getattr(value, "name", "") or "").replace("\\", "/").rpartition("/")[2]
    kind = (
        getattr(value, "content_type", None)
        or mimetypes.guess_type(filename)[0]
        or "application/octet-stream"
    )
    content = value.read()
    body = content if isinstance(content, bytes) else str(content).encode()
    return [f'{head}; filename="{filename}"\r\nContent-Type: {kind}\r\n'.encode(), body]


class RequestFactory:
    """``factory.get("/path/", {"q": "x"})`` is a request, as views get one; nothing has been done to it."""

    def __init__(
        self,
        *,
        json_encoder: type[json.JSONEncoder] = DjangoJSONEncoder,
        headers: Any = None,
        **defaults: Any,
    ) -> None:
        self.json_encoder = json_encoder
        self.defaults = {**defaults, **_as_meta(headers)}
        self.cookies: SimpleCookie = SimpleCookie()

    def generic(
        self,
        method: str,
        path: str,
        data: Any = b"",
        content_type: str | None = "application/octet-stream",
        secure: bool = False,
        *,
        headers: Any = None,
        query_params: Any = None,
        **extra: Any,
    ) -> Any:
        """A request of any method, with ``data`` as its body."""
        parts = urlsplit(str(path))
        body = data if isinstance(data, bytes) else str(data).encode()
        query = urlencode(query_params, doseq=True) if query_params else parts.query
        meta = {**self.defaults, **_as_meta(headers), **extra}
        if body and content_type:
            meta["CONTENT_TYPE"] = content_type
        if body:
            meta["CONTENT_LENGTH"] = str(len(body))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https" if secure else "http",
            "path": unquote(parts.path) or "/",
            "query_string": str(meta.pop("QUERY_STRING", query)).encode(),
            "root_path": "",
            "headers": self._headers(),
            "client": ("127.0.0.1", 0),
            "server": ("testserver", 443 if secure else 80),
        }
        return self.request(_scope=scope, _body=body, **meta)

    def request(self, *, _scope: Any = None, _body: bytes = b"", **meta: Any) -> Any:
        """The request; ``meta`` goes into ``request.META``."""
        request = ASGIRequest(_scope or _EMPTY_SCOPE, io.BytesIO(_body))
        request.META.update(meta)
        if "CONTENT_TYPE" in meta:
            request._set_content_type(meta["CONTENT_TYPE"])
        return request

    def _headers(self) -> list[tuple[bytes, bytes]]:
        cookies = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self.cookies.items())
        return [(b"host", b"testserver"), *([(b"cookie", cookies.encode("latin1"))] if cookies else [])]

    def get(
        self, path: str, data: Any = None, secure: bool = False, *, query_params: Any = None, **extra: Any
    ) -> Any:
        """GET; ``data`` is the query string."""
        return self.generic("GET", path, secure=secure, query_params=query_params or data, **extra)

    def head(
        self, path: str, data: Any = None, secure: bool = False, *, query_params: Any = None, **extra: Any
    ) -> Any:
        """HEAD."""
        return self.generic("HEAD", path, secure=secure, query_params=query_params or data, **extra)

    def trace(self, path: str, secure: bool = False, **extra: Any) -> Any:
        """TRACE."""
        return self.generic("TRACE", path, secure=secure, **extra)

    def post(
        self, path: str, data: Any = None, content_type: str = MULTIPART, secure: bool = False, **extra: Any
    ) -> Any:
        """POST; ``data`` is a form, or JSON with ``content_type="application/json"``."""
        body, kind = self._encoded({} if data is None else data, content_type)
        return self.generic("POST", path, body, kind, secure, **extra)

    def options(
        self,
        path: str,
        data: Any = "",
        content_type: str = "application/octet-stream",
        secure: bool = False,
        **extra: Any,
    ) -> Any:
        """OPTIONS."""
        return self.generic("OPTIONS", path, *self._encoded(data, content_type), secure, **extra)

    def put(
        self,
        path: str,
        data: Any = "",
        content_type: str = "application/octet-stream",
        secure: bool = False,
        **extra: Any,
    ) -> Any:
        """PUT."""
        return self.generic("PUT", path, *self._encoded(data, content_type), secure, **extra)

    def patch(
        self,
        path: str,
        data: Any = "",
        content_type: str = "application/octet-stream",
        secure: bool = False,
        **extra: Any,
    ) -> Any:
        """PATCH."""
        return self.generic("PATCH", path, *self._encoded(data, content_type), secure, **extra)

    def delete(
        self,
        path: str,
        data: Any = "",
        content_type: str = "application/octet-stream",
        secure: bool = False,
        **extra: Any,
    ) -> Any:
        """DELETE."""
        return self.generic("DELETE", path, *self._encoded(data, content_type), secure, **extra)

    def _encoded(self, data: Any, content_type: str) -> tuple[Any, str]:
        if content_type == MULTIPART and isinstance(data, Mapping):
            boundary = f"----{secrets.token_hex(12)}"
            return encode_multipart(boundary, data), f"{MULTIPART}; boundary={boundary}"
        if content_type.partition(";")[0].endswith("json") and isinstance(data, (dict, list, tuple)):
            return json.dumps(data, cls=self.json_encoder), content_type
        return data, content_type


AsyncRequestFactory = RequestFactory

_EMPTY_SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "headers": [(b"host", b"testserver")],
}


def _as_meta(headers: Any) -> dict[str, Any]:
    """Headers in the words of ``request.META``."""
    found = {}
    for name, value in dict(headers or {}).items():
        key = name.upper().replace("-", "_")
        found[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = value
    return found


class _ClientBase(RequestFactory):
    """Sends its requests through the project, and keeps cookies as a browser would."""

    def __init__(
        self,
        enforce_csrf_checks: bool = False,
        raise_request_exception: bool = True,
        *,
        headers: Any = None,
        **defaults: Any,
    ) -> None:
        super().__init__(headers=headers, **defaults)
        self.enforce_csrf_checks = enforce_csrf_checks
        self.raise_request_exception = raise_request_exception

    @functools.cached_property
    def handler(self) -> BaseHandler:
        """The project's middleware and views, read when first used."""
        return BaseHandler()

    async def _answer(self, request: Any) -> Any:
        request._dont_enforce_csrf_checks = not self.enforce_csrf_checks
        set_script_prefix("/")
        response = await static_file_response(request) or await self.handler.get_response(request)
        error = getattr(response, "raised", None)
        if error is not None and self.raise_request_exception:
            raise error
        if response.streaming:
            pieces = [piece async for piece in response]
            response.close()
            response.streaming_content = iter(pieces)
        for name, morsel in response.cookies.items():
            self.cookies[name] = morsel.value
            self.cookies[name].update(morsel)
            if morsel["max-age"] == 0:
                del self.cookies[name]
        response.client, response.request = self, request
        response.resolver_match = request.resolver_match
        response.json = functools.partial(_json_of, response)
        return response

    def _next(self, response: Any) -> tuple[str, str, dict[str, Any]]:
        """Method, path and options of the request that a redirect asks for; RedirectCycleError if it was
        made.
        """
        url = urljoin(response.request.build_absolute_uri(), response.url)
        chain = response.redirect_chain
        if (url, response.status_code) in chain[:-1] or len(chain) > 20:
            raise RedirectCycleError("Redirect loop detected.", last_response=response)
        parts = urlsplit(url)
        method = response.request.method if response.status_code in (307, 308) else "GET"
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        return method, path, {"secure": parts.scheme == "https"}

    # Sessions and users.

    @property
    def session(self) -> Any:
        """The client's session; call ``save()`` on it after a change."""
        morsel = self.cookies.get(settings.SESSION_COOKIE_NAME)
        session = session_store()(morsel.value if morsel else None)
        if morsel is None:
            session.save()
            self.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
        return session

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log somebody in without credentials."""
        from ..contrib.auth import login

        request = self.request()
        request.session = self.session
        login(request, user, backend or next(iter(settings.AUTHENTICATION_BACKENDS), None))
        request.session.save()
        self.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key

    def login(self, **credentials: Any) -> bool:
        """Log in as a form would; False if no backend knows the credentials."""
        from ..contrib.auth import authenticate

        user = authenticate(**credentials)
        if user is None:
            return False
        self.force_login(user, user.backend)
        return True

    def logout(self) -> None:
        """Forget session and cookies."""
        self.session.delete()
        self.cookies = SimpleCookie()


class Client(_ClientBase):
    """For plain tests. ``follow=True`` follows redirects and keeps them in ``response.redirect_chain``."""

    def generic(self, *args: Any, follow: bool = False, **kwargs: Any) -> Any:
        """Send a request; its response."""
        response = async_to_sync(self._answer)(super().generic(*args, **kwargs))
        if follow:
            chain: list[Any] = []
            while response.status_code in REDIRECTS:
                chain = response.redirect_chain = [*chain, (response.url, response.status_code)]
                method, path, options = self._next(response)
                response = async_to_sync(self._answer)(super().generic(method, path, **options))
            response.redirect_chain = chain
        return response


class AsyncClient(_ClientBase):
    """For coroutines: ``await client.get("/")``."""

    async def generic(self, *args: Any, follow: bool = False, **kwargs: Any) -> Any:
        """Send a request; its response."""
        response = await self._answer(super().generic(*args, **kwargs))
        if follow:
            chain: list[Any] = []
            while response.status_code in REDIRECTS:
                chain = response.redirect_chain = [*chain, (response.url, response.status_code)]
                method, path, options = self._next(response)
                response = await self._answer(super().generic(method, path, **options))
            response.redirect_chain = chain
        return response

    async def aforce_login(self, user: Any, backend: str | None = None) -> None:
        """As ``force_login``."""
        await sync_to_async(self.force_login)(user, backend)

    async def alogin(self, **credentials: Any) -> bool:
        """As ``login``."""
        return await sync_to_async(self.login)(**credentials)

    async def alogout(self) -> None:
        """As ``logout``."""
        await sync_to_async(self.logout)()


def _json_of(response: Any) -> Any:
    kind = response.get("Content-Type", "")
    if "json" not in kind:
        raise ValueError(f'the response is not JSON but "{kind}"')
    return json.loads(response.text)
