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
from urllib.parse import unquote, urlencode, urlsplit

from asgiref.sync import async_to_sync

from ..core.handlers.asgi import ASGIRequest, has_no_body
from ..core.handlers.base import BaseHandler
from ..core.handlers.static import static_file_response
from ..core.serializers.json import DjangoJSONEncoder
from ..unserved import lacks, needs_django
from ..urls import set_script_prefix

__all__ = [
    "AsyncClient",
    "AsyncRequestFactory",
    "Client",
    "RequestFactory",
    "encode_multipart",
]


MULTIPART = "multipart/form-data"
BYTES = "application/octet-stream"


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
    path = getattr(value, "name", "")  # a number, for a file of tempfile
    filename = path.replace("\\", "/").rpartition("/")[2] if isinstance(path, str) else ""
    kind = (
        getattr(value, "content_type", None)
        or mimetypes.guess_type(filename)[0]
        or "application/octet-stream"
    )
    content = value.read()
    body = content if isinstance(content, bytes) else str(content).encode()
    return [f'{head}; filename="{filename or name}"\r\nContent-Type: {kind}\r\n'.encode(), body]


class RequestFactory:
    """``factory.get("/path/", {"q": "x"})`` is a request, as views get one; nothing has been done to it."""

    __getattr__ = lacks(
        "django.test.Client",
        "aforce_login alogin alogout asession force_login login logout request session trace",
    )

    def __init__(self, *, headers: Any = None, **defaults: Any) -> None:
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
        """Return a request of any method, with ``data`` as its body; ``extra`` goes into ``request.META``."""
        if "follow" in extra:
            raise ImportError(needs_django("follow, an argument of the test client,"), name="django")
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
        request = ASGIRequest(scope, io.BytesIO(body))
        request.META.update(meta)
        if "CONTENT_TYPE" in meta:
            request._set_content_type(meta["CONTENT_TYPE"])
        return request

    def _headers(self) -> list[tuple[bytes, bytes]]:
        cookies = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self.cookies.items())
        return [(b"host", b"testserver"), *([(b"cookie", cookies.encode("latin1"))] if cookies else [])]

    def get(self, path: str, data: Any = None, **extra: Any) -> Any:
        """GET; ``data`` is the query string."""
        return self.generic("GET", path, **{"query_params": data, **extra})

    def head(self, path: str, data: Any = None, **extra: Any) -> Any:
        """HEAD; ``data`` is the query string."""
        return self.generic("HEAD", path, **{"query_params": data, **extra})

    def post(self, path: str, data: Any = None, content_type: str = MULTIPART, **extra: Any) -> Any:
        """POST; ``data`` is a form, or JSON with ``content_type="application/json"``."""
        return self.generic("POST", path, *_encoded({} if data is None else data, content_type), **extra)

    def options(self, path: str, data: Any = "", content_type: str = BYTES, **extra: Any) -> Any:
        """OPTIONS."""
        return self.generic("OPTIONS", path, *_encoded(data, content_type), **extra)

    def put(self, path: str, data: Any = "", content_type: str = BYTES, **extra: Any) -> Any:
        """PUT."""
        return self.generic("PUT", path, *_encoded(data, content_type), **extra)

    def patch(self, path: str, data: Any = "", content_type: str = BYTES, **extra: Any) -> Any:
        """PATCH."""
        return self.generic("PATCH", path, *_encoded(data, content_type), **extra)

    def delete(self, path: str, data: Any = "", content_type: str = BYTES, **extra: Any) -> Any:
        """DELETE."""
        return self.generic("DELETE", path, *_encoded(data, content_type), **extra)


AsyncRequestFactory = RequestFactory


def _encoded(data: Any, content_type: str) -> tuple[Any, str]:
    if content_type == MULTIPART and isinstance(data, Mapping):
        boundary = f"----{secrets.token_hex(12)}"
        return encode_multipart(boundary, data), f"{MULTIPART}; boundary={boundary}"
    if content_type.partition(";")[0].endswith("json") and isinstance(data, (dict, list, tuple)):
        return json.dumps(data, cls=DjangoJSONEncoder), content_type
    return data, content_type


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
        without_body = request.method == "HEAD" or has_no_body(response.status_code)
        if response.streaming:
            pieces = [] if without_body else [piece async for piece in response]
            response.close()
            response.streaming_content = iter(pieces)
        elif without_body:
            response.content = b""
        for name, morsel in response.cookies.items():
            self.cookies[name] = morsel.value
            self.cookies[name].update(morsel)
            if morsel["max-age"] == 0:
                del self.cookies[name]
        response.client, response.request, response.wsgi_request = self, request, request
        response.resolver_match = request.resolver_match
        response.json = functools.partial(_json_of, response)
        return response


class Client(_ClientBase):
    """For plain tests: ``client.get("/")``."""

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; its response."""
        return async_to_sync(self._answer)(super().generic(*args, **kwargs))


class AsyncClient(_ClientBase):
    """For coroutines: ``await client.get("/")``."""

    async def generic(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request; its response."""
        return await self._answer(super().generic(*args, **kwargs))


def _json_of(response: Any) -> Any:
    kind = response.get("Content-Type", "")
    if "json" not in kind:
        raise ValueError(f'the response is not JSON but "{kind}"')
    return json.loads(response.text)
